"""Stock models with named hook points, and the forward passes that read and replace activations at them."""
