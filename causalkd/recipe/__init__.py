"""The recipe: everything that defines a run, as strict and frozen data."""
