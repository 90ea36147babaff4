"""Attribution: which input positions a prediction depends on, and how far two models agree in that."""
