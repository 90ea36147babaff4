"""Which source goes with which base, and at which positions."""
