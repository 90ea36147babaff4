"""Which teacher site corresponds to a student site."""
