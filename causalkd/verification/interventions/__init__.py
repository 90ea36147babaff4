"""The interventions that are run, and the passes that run them."""
