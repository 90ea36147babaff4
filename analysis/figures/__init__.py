"""Figures of results, and the data that they are drawn from."""
