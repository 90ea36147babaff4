"""The functions that torch calls at a hooked module.

They are functions, not closures: the tests' shape checker compiles every closure again.
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
"""Receives a (batch, pos, width) tensor; its return value, if any, replaces the tensor."""


class Stop(Exception):
    """Ends a forward pass whose remaining blocks are not needed."""


class PassThrough(nn.Module):
    """Replaces a block: returns the hidden states that it receives, or those that it holds, as the block would.

    Stacks read attributes of their blocks, e.g. which attention mask a block needs, so it has those too.

    Args:
        block: The block that it replaces.
        held: The hidden states that it returns; None returns those that it receives.
        returned: The length of the tuple that the block returns; None if it returns the hidden states alone.
    """

    def __init__(self, block: nn.Module, held: Tensor | None = None, returned: int | None = None) -> None:
        super().__init__()
        own = vars(self)
        for name, value in vars(block).items():
            if name not in own and name != "forward" and not name.startswith("_"):
                own[name] = value
        self.held, self.returned = held, returned

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor | None, ...]:
        """The return value of the block that is replaced."""
        hidden = entering(args, kwargs) if self.held is None else self.held
        return hidden if self.returned is None else (hidden, *[None] * (self.returned - 1))


def entering(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """The first input of a module: some stacks pass it by name."""
    return args[0] if args else kwargs["hidden_states"]


def leaving(output: Any) -> Tensor:
    """The output of a module: the first item, where blocks and mixtures return more."""
    return output[0] if isinstance(output, tuple | list) else output


def note_state(states: dict[int, Tensor], current: Callable[[], Tensor], layer: int, _: Tensor) -> None:
    """Notes the state of the generator of random numbers when a block begins."""
    states[layer] = current()


def keep_first(kept: MutableMapping[HookPoint, Tensor], hook_point: HookPoint, tensor: Tensor) -> None:
    """Keeps the first tensor at a hook point: what a repeated forward pass computes again is not kept."""
    kept.setdefault(hook_point, tensor)


def record(kept: MutableMapping[HookPoint, Tensor], hook_point: HookPoint, wanted: int, tensor: Tensor) -> None:
    """Keeps the tensor at a hook point, and ends the forward pass once all needed ones are kept."""
    if hook_point in kept:  # a repeated forward pass continues
        return
    kept[hook_point] = tensor
    if len(kept) == wanted:
        raise Stop


def remember_shape(
    shapes: dict[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Records the rows and positions of a block's input; called before the block."""
    shapes[layer] = entering(args, kwargs).shape[:2]


def register(module: nn.Module, hook_point: HookPoint, hook: Hook, shapes: Mapping[int, torch.Size]) -> RemovableHandle:
    """Registers a function that is called with the tensor at a hook point of this module."""
    hook = partial(on_overwritten, hook) if hook_point.is_overwritten else hook
    if hook_point.side == "input":
        return module.register_forward_pre_hook(partial(on_input, hook), with_kwargs=True)
    return module.register_forward_hook(partial(on_output, hook, shapes, hook_point.layer))


def on_overwritten(hook: Hook, tensor: Tensor) -> Tensor:
    """Gives the hook the tensor that the model will overwrite, and gives the model a copy to overwrite."""
    replacement = hook(tensor)
    return (tensor if replacement is None else replacement).clone()


def on_input(
    hook: Hook, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Gives the hook the input of a module; called before the module."""
    replacement = hook(entering(args, kwargs))
    if replacement is None:
        return None
    return ((replacement, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": replacement})


def on_output(
    hook: Hook, shapes: Mapping[int, torch.Size], layer: int, module: nn.Module, args: tuple[Any, ...], output: Any
) -> Any:
    """Gives the hook the output of a module, in the block's rows and positions where the module flattens them."""
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
    """Gives the head only the hidden states at the given flat positions; called after the stack of blocks.

    The head computes what it always does, on one row of as many tokens as there are positions.
    """
    hidden.append(output[0])
    if items is not None:
        output.last_hidden_state = output[0].flatten(0, 1).index_select(0, items)[None]
    return output
