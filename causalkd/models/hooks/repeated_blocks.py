"""A block of its own for each layer, where a model calls one block for several layers, as ALBERT does.

While hooks are on, each call of such a block goes to a view of it: the same parameters, buffers and code in other
module objects, so that a hook in one layer is not called in another.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from causalkd.models.hooks.hook_points import HookPoint


class BlocksByLayer:
    """The blocks of a model by layer; in a model that calls each block once these are the stock blocks.

    Args:
        model: The stock model.
        path: Path of its list of blocks.
        calls: For each layer, the index of the block that computes it, in the order of the calls.
    """

    def __init__(self, model: nn.Module, path: str, calls: Sequence[int]) -> None:
        self._model, self._path, self.calls = model, path, tuple(calls)

    @property
    def stock(self) -> nn.ModuleList:
        """The stock model's own list of blocks; shorter than this if layers share a block."""
        blocks = self._model.get_submodule(self._path)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def __len__(self) -> int:
        return len(self.calls)

    def __getitem__(self, layer: int) -> nn.Module:
        block = self.stock[self.calls[layer]]
        return block.layers[self._turn(layer)] if isinstance(block, _Turns) else block

    def __setitem__(self, layer: int, block: nn.Module) -> None:
        held = self.stock[self.calls[layer]]
        if isinstance(held, _Turns):
            held.layers[self._turn(layer)] = block
        else:
            self.stock[self.calls[layer]] = block

    def module(self, hook_point: HookPoint) -> nn.Module:
        """The module of a hook point in its layer."""
        if hook_point.component == "token_embedding":
            return self._model.get_submodule(hook_point.module)
        inside = hook_point.module.removeprefix(f"{self._path}.{self.calls[hook_point.layer]}")
        return self[hook_point.layer].get_submodule(inside.removeprefix("."))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, no two layers share a module; contexts may be nested.

        Raises:
            ValueError: The forward of a module of a shared block has been replaced already.
        """
        stock, blocks = self.stock, list(self.stock)
        if len(blocks) == len(self) or isinstance(blocks[0], _Turns):
            yield
            return
        turns = [_Turns(block, self.calls.count(index)) for index, block in enumerate(blocks)]
        handle = self._model.get_submodule(self._path.rpartition(".")[0]).register_forward_pre_hook(
            partial(_begin, turns)
        )
        try:
            for index, each in enumerate(turns):
                stock[index] = each
            yield
        finally:
            for index, block in enumerate(blocks):
                stock[index] = block
            handle.remove()

    def _turn(self, layer: int) -> int:
        return self.calls[:layer].count(self.calls[layer])


class _Turns(nn.Module):
    """Replaces a shared block: its first call in a forward pass goes to the view of its first layer, and so on.

    It has the block's attributes and submodules too, because stacks read attributes of their blocks.
    """

    def __init__(self, block: nn.Module, times: int) -> None:
        super().__init__()
        self.block, self.layers = block, nn.ModuleList(_view(block, {}) for _ in range(times))
        self.training = block.training
        self.next = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._modules["block"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        layer = self.layers[self.next]
        self.next += 1
        return layer(*args, **kwargs)


def _begin(turns: Sequence[_Turns], module: nn.Module, args: tuple[Any, ...]) -> None:
    """A forward pass of the stack begins; the last one may have ended early."""
    for each in turns:
        each.next = 0


def _view(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """Another module object with the same parameters, buffers and attributes, whose hooks are its own from now on."""
    if module in made:
        return made[module]
    if module._compiled_call_impl is not None or ("forward" in vars(module) and module._modules):
        raise ValueError(
            f"the forward of a {type(module).__name__} in a block that several layers share is not its class's own, so "
            "its layers cannot be told apart; leave this model as it is: do not compile it, and load it on one device"
        )
    view = made[module] = module.__new__(type(module))
    for name, value in vars(module).items():
        # torch keeps the hooks of a module in ordered dictionaries.
        vars(view)[name] = value.copy() if isinstance(value, OrderedDict) else value
    children = module._modules.items()
    vars(view)["_modules"] = {name: None if child is None else _view(child, made) for name, child in children}
    return view
