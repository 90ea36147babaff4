"""What torch calls at a hooked module.

Functions, not closures: the tests' shape checker compiles every closure anew.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from causalkd.models.hooks.hook_points import HookPoint

Hook = Callable[[Tensor], Tensor | None]
"""Sees a (batch, pos, width) tensor; what it returns, if anything, replaces it."""


class Stop(Exception):
    """Ends a forward whose remaining blocks nobody needs."""


class PassThrough(nn.Module):
    """Stands where a block was: returns the hidden states it is given, or the ones it holds."""

    def __init__(self, held: Tensor | None = None) -> None:
        super().__init__()
        self.held = held

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """What a block would return."""
        return hidden_states if self.held is None else self.held


def keep_first(kept: MutableMapping[HookPoint, Tensor], hook_point: HookPoint, tensor: Tensor) -> None:
    """Keeps what is at a place, once: what a repeated forward computes again is not the run's."""
    kept.setdefault(hook_point, tensor)


def record(kept: MutableMapping[HookPoint, Tensor], hook_point: HookPoint, wanted: int, tensor: Tensor) -> None:
    """Keeps what is at a place, and ends the forward when as many places as wanted are kept."""
    if hook_point in kept:  # a repeated forward goes on
        return
    kept[hook_point] = tensor
    if len(kept) == wanted:
        raise Stop


def remember_shape(shapes: dict[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...]) -> None:
    """Before a block: notes the rows and positions of what enters it."""
    shapes[layer] = args[0].shape[:2]


def on_input(hook: Hook, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Before a module: shows the hook what enters."""
    replacement = hook(args[0])
    return None if replacement is None else (replacement, *args[1:])


def on_output(
    hook: Hook, shapes: Mapping[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...], output: Tensor
) -> Tensor | None:
    """After a module: shows the hook what leaves, in the block's rows and positions where the module flattens them."""
    if output.dim() == 3:
        return hook(output)
    replacement = hook(output.unflatten(0, shapes[layer]))
    return None if replacement is None else replacement.flatten(0, 1)


def on_stack(
    hidden: list[Tensor], items: Int[Tensor, " item"] | None, module: nn.Module, args: tuple[Any, ...], output: Any
) -> Any:
    """After the stack of blocks: takes the hidden states, and hands the head only those at the given flat positions.

    The head computes what it always does, on one row of as many tokens as there are positions.
    """
    hidden.append(output[0])
    if items is not None:
        output.last_hidden_state = output[0].flatten(0, 1).index_select(0, items)[None]
    return output
