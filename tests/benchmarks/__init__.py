"""What the methods cost beside the plain distillation step: `make bench`, or `python -m tests.benchmarks`."""
