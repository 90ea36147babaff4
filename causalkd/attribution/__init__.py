"""Which input positions a prediction rests on, and how far two models agree in that."""
