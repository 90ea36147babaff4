"""What a run is, as strict and frozen data."""
