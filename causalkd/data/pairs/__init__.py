"""The pairs of base and source, and their positions."""
