"""How well models do on tasks and as language models, without interventions."""
