"""Kills a run at every file operation and at random moments, and sees that it ends as if nothing had happened."""
