"""Text files: YAML that is read strictly, and files that are written in one step."""
