"""Evaluation mode for the duration of a block."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from causalkd.models.hooks.hooked_model import HookedModel


@contextmanager
def evaluating(models: Iterable[HookedModel]) -> Iterator[None]:
    """Dropout is off inside, and every module gets its own mode back afterwards."""
    modes = {module: module.training for model in models for module in model.model.modules()}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
