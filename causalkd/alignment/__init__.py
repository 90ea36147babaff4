"""Alignments: which sites correspond, and the interchange intervention that both training and verification run."""
