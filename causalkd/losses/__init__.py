"""Loss functions from tensors to a scalar; this folder imports torch and nothing of ours."""
