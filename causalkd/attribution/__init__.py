"""Which input mattered."""
