"""Who computes: stock Hugging Face models whose places TransformerLens names."""
