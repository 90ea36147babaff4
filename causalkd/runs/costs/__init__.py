"""What a run costs: worked out beforehand for every stage, or measured on a few steps."""
