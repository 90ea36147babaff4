"""Pure functions from tensors to a scalar; they import torch and nothing of ours."""
