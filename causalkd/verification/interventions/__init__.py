"""Which interventions are run, and the passes that run them."""
