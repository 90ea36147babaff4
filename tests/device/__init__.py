"""What is true on an accelerator: `make check-device`, or `python -m tests.check_device`."""
