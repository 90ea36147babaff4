"""What corresponds to what, and the interchange that both training and verification run."""
