"""Models: stock Hugging Face models whose hook points have TransformerLens names."""
