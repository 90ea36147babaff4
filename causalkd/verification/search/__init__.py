"""Search for the teacher site that corresponds to a student site."""
