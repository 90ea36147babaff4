"""The processes of one job: how they share work, and how one of them works for all."""
