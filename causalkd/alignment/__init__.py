"""Alignments, which say which sites correspond, and the interchange intervention of training and verification."""
