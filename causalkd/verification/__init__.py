"""Verification: whether a student is a causal abstraction of its teacher."""
