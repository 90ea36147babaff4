"""Which parts of the package have the types of their calls checked in the tests, by beartype alone."""

PLAIN = ("cli", "errors", "files", "processes", "recipe", "reporting", "runs", "registries", "verification.results")
"""Those without tensors; of the others jaxtyping checks the shapes too, as pyproject.toml says."""
