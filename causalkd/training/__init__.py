"""How the student learns."""
