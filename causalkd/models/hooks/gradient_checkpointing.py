"""Hooks inside a block that is run again in the backward pass to save memory: gradient checkpointing.

The input and output of a checkpointed block are not part of what is repeated, so hooks there need none of this.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer


def is_repeated(block: nn.Module) -> bool:
    """Whether the block's forward pass will be run again in the backward pass."""
    return isinstance(block, GradientCheckpointingLayer) and block.gradient_checkpointing and block.training


@contextmanager
def in_every_forward(block: nn.Module, inside: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Forward passes of the block run inside a context; so do their repetitions, whenever they happen.

    Raises:
        ValueError: Checkpointing is reentrant, which runs the block without a graph.
    """
    plain: Any = vars(block)["_gradient_checkpointing_func"]
    if isinstance(plain, partial) and plain.keywords.get("use_reentrant", True):
        raise ValueError(
            "gradient checkpointing is reentrant, so a block runs without a graph and nothing inside it can be read, "
            "replaced or differentiated twice; set gradient_checkpointing_kwargs={'use_reentrant': False}, or "
            "intervene on block outputs"
        )

    def checkpoint(forward: Callable[..., Tensor], *args: Any) -> Tensor:
        def repeatable(*args: Any) -> Tensor:
            with inside():
                return forward(*args)

        return plain(repeatable, *args)

    vars(block)["_gradient_checkpointing_func"] = checkpoint
    try:
        yield
    finally:
        vars(block)["_gradient_checkpointing_func"] = plain
