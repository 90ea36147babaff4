"""What torch calls at a hooked module.

Functions, not closures: the tests' shape checker compiles every closure anew.
"""

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from causalkd.models.hooks.hook_points import HookPoint

Hook = Callable[[Tensor], Tensor | None]
"""Sees a (batch, pos, width) tensor; what it returns, if anything, replaces it."""


class Stop(Exception):
    """Ends a forward whose remaining blocks nobody needs."""


class PassThrough(nn.Module):
    """Stands where a block was: returns the hidden states it is given, or the ones it holds, as the block would.

    Stacks read attributes of their blocks, e.g. which attention mask one needs, so it has those too.

    Args:
        block: What it stands for.
        held: What it returns; None for what it is given.
        returned: How many things the block returns in a tuple; None where it returns the hidden states alone.
    """

    def __init__(self, block: nn.Module, held: Tensor | None = None, returned: int | None = None) -> None:
        super().__init__()
        own = vars(self)
        for name, value in vars(block).items():
            if name not in own and name != "forward" and not name.startswith("_"):
                own[name] = value
        self.held, self.returned = held, returned

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor | None, ...]:
        """What a block would return."""
        hidden = entering(args, kwargs) if self.held is None else self.held
        return hidden if self.returned is None else (hidden, *[None] * (self.returned - 1))


def entering(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """What a module is given first: some stacks give it by name."""
    return args[0] if args else kwargs["hidden_states"]


def leaving(output: Any) -> Tensor:
    """What leaves a module: of the blocks and mixtures that return more than that, the first."""
    return output[0] if isinstance(output, tuple | list) else output


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


def remember_shape(
    shapes: dict[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Before a block: notes the rows and positions of what enters it."""
    shapes[layer] = entering(args, kwargs).shape[:2]


def register(module: nn.Module, hook_point: HookPoint, hook: Hook, shapes: Mapping[int, torch.Size]) -> RemovableHandle:
    """Has a function called with what passes a place of this module."""
    hook = partial(on_overwritten, hook) if hook_point.is_overwritten else hook
    if hook_point.side == "input":
        return module.register_forward_pre_hook(partial(on_input, hook), with_kwargs=True)
    return module.register_forward_hook(partial(on_output, hook, shapes, hook_point.layer))


def on_overwritten(hook: Hook, tensor: Tensor) -> Tensor:
    """Shows the hook what the model will overwrite in place, and gives the model another tensor to overwrite."""
    replacement = hook(tensor)
    return (tensor if replacement is None else replacement).clone()


def on_input(
    hook: Hook, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Before a module: shows the hook what enters."""
    replacement = hook(entering(args, kwargs))
    if replacement is None:
        return None
    return ((replacement, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": replacement})


def on_output(
    hook: Hook, shapes: Mapping[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...], output: Any
) -> Any:
    """After a module: shows the hook what leaves, in the block's rows and positions where the module flattens them."""
    tensor = leaving(output)
    is_flat = tensor.dim() == 2
    replacement = hook(tensor.unflatten(0, shapes[layer]) if is_flat else tensor)
    if replacement is None:
        return None
    replacement = replacement.flatten(0, 1) if is_flat else replacement
    if isinstance(output, list):
        return [replacement, *output[1:]]
    return (replacement, *output[1:]) if isinstance(output, tuple) else replacement


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
