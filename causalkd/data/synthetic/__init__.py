"""Generated tasks whose causal model is known."""
