"""Loss functions from tensors to a scalar; of this package they import only `registries` and `task_types`."""
