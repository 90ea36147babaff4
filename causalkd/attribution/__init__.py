"""Attribution: the input positions that a prediction depends on, and the agreement of two models about them."""
