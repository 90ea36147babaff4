"""The cost of a training, counted while it runs, so that students can be compared at equal compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import Cache

from causalkd.models.hooks.hooked_model import HookedModel

# A backward pass takes about as many multiplications as two forward passes (Kaplan et al. 2020, section 2.1).
_FORWARD_AND_BACKWARD = 3


class BlockForwards:
    """A running total of block-forwards: one block run over one row; a trained block counts three times.

    Blocks that an interchange skips are not run and so not counted; one that ends early counts up to where it ended.
    Not counted are forward passes of a student without gradients, the generation of sequences with a cache, and
    the backward passes that compute attribution maps and those that train on them. A map of K classes takes K − 1
    backward passes, and training on it takes more than K − 1 further ones, so compare students with and without maps
    by their seconds.
    """

    def __init__(self) -> None:
        self.total = 0

    @contextmanager
    def counting(self, student: HookedModel, teacher: HookedModel | None) -> Iterator[None]:
        """Counts this process's forwards of both models inside the block."""
        handles = [self._count(block, _FORWARD_AND_BACKWARD) for block in student.blocks]
        handles += [self._count(block, 1) for block in (teacher.blocks if teacher else ())]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _count(self, block: nn.Module, times: int) -> Any:
        def count(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
            cached = any(isinstance(each, Cache) for each in (*args, *options.values()))
            measured = times == _FORWARD_AND_BACKWARD and not torch.is_grad_enabled()
            if not cached and not measured:
                hidden = output if isinstance(output, torch.Tensor) else output[0]  # some want theirs by name
                self.total += times * hidden.shape[0]

        return block.register_forward_hook(count, with_kwargs=True)
