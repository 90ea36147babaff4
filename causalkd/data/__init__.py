"""The data: tasks, tokens, batches, and which source goes with which base."""
