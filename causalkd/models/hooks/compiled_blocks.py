"""Blocks as code that torch generates for them, with everything that hooks into their input and output left outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from causalkd.models.hooks.hooked_model import HookedModel

# Dropout is drawn as without compilation.
_SAME_DRAWS = {"fallback_random": True}


@contextmanager
def compiled_blocks(model: HookedModel, backend: str = "inductor") -> Iterator[None]:
    """Every block's forward is compiled meanwhile, at its first call and for each new kind of shape.

    The blocks stay the modules that they are: their hooks run outside of what is compiled, and a checkpoint has the
    names of a stock model. A hook point inside a block, and a second derivative, are refused meanwhile.

    Args:
        model: The model.
        backend: The backend of `torch.compile`; the default needs a C++ compiler on a CPU, and Triton on a GPU.

    Raises:
        ValueError: The forward of a block has been replaced already.
    """
    blocks = list(model.blocks)
    taken = [number for number, block in enumerate(blocks) if "forward" in vars(block)]
    if taken:
        raise ValueError(
            f"the forward of block {taken[0]} of {model} is not its class's own, so it is not known what compiling it "
            "would leave out; leave compile_blocks out"
        )
    settings: dict[str, Any] = {"options": _SAME_DRAWS} if backend == "inductor" else {}
    try:
        for block in blocks:
            _put(block, torch.compile(block.forward, backend=backend, **settings))
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)


def _put(block: nn.Module, forward: Any) -> None:
    block.forward = forward  # a module's own attribute comes before its class's
