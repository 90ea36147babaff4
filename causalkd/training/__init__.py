"""Training: how the student is trained."""
