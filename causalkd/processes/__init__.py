"""The processes of one job: how they share work, and what one of them does for all."""
