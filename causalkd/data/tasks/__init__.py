"""Data sets and tasks: where they come from and how they become token ids."""
