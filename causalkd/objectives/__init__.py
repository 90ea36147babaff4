"""One method, one file: which forwards to run, which loss to compute."""
