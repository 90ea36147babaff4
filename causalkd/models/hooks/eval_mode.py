"""Modes of models: evaluation for as long as it is wanted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from causalkd.models.hooks.hooked_model import HookedModel


@contextmanager
def evaluating(models: Iterable[HookedModel]) -> Iterator[None]:
    """Dropout off, and every module back in its own mode afterwards."""
    modes = {module: module.training for model in models for module in model.model.modules()}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
