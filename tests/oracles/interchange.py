"""The interchange intervention the slow way: stock models, plain hooks, two whole forwards, loops over rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedModel

Pairs = Sequence[Sequence[tuple[int, int]]]
"""The (base position, source position) pairs of the intervention, for each row."""


class Spot(NamedTuple):
    """A tensor of positions: what enters or leaves a module; `columns` None for all of them.

    Or a part of it in other axes: `basis` is a list of directions, each as long as the tensor is wide.
    """

    module: str
    side: str
    columns: Sequence[int] | None = None
    basis: Sequence[Tensor] | None = None


class Intervened(NamedTuple):
    """What is written, and where its values are read."""

    write: Spot
    read: Spot


def slow_interchange(
    model: PreTrainedModel,
    passes: Sequence[Intervened],
    base: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    pairs: Pairs,
) -> Any:
    """The stock output of base with source's activations, hidden states included."""
    donated: dict[int, Tensor] = {}
    handles = []
    for number, intervene in enumerate(passes):

        def record(tensor: Tensor, number: int = number) -> None:
            donated[number] = tensor

        handles.append(_hook(model, intervene.read, record, source["input_ids"].shape))
    model(**source)
    for handle in handles:
        handle.remove()
    handles = []
    for number, intervene in enumerate(passes):

        def write(tensor: Tensor, number: int = number, intervene: Intervened = intervene) -> Tensor:
            return _written(tensor, donated[number], intervene, pairs)

        handles.append(_hook(model, intervene.write, write, base["input_ids"].shape))
    output = model(**base, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    return output


def _written(recipient: Tensor, source_activations: Tensor, intervene: Intervened, pairs: Pairs) -> Tensor:
    result = recipient.clone()
    for row, of_row in enumerate(pairs):
        for base_position, source_position in of_row:
            given = source_activations[row, source_position]
            if intervene.write.basis is not None:
                result[row, base_position] = _turned(recipient[row, base_position], given, intervene)
                continue
            if intervene.read.columns is not None:
                given = given[list(intervene.read.columns)]
            if intervene.write.columns is None:
                result[row, base_position] = given
            else:
                result[row, base_position, list(intervene.write.columns)] = given
    return result


def _turned(recipient: Tensor, given: Tensor, intervene: Intervened) -> Tensor:
    """The recipient, with each written direction's share taken out and the read direction's share put there."""
    assert intervene.write.basis is not None and intervene.read.basis is not None
    result = recipient
    for written, read in zip(intervene.write.basis, intervene.read.basis, strict=True):
        result = result - (recipient * written).sum() * written + (given * read).sum() * written
    return result


def _hook(model: nn.Module, spot: Spot, function: Any, shape: Sequence[int]) -> Any:
    def seen(tensor: Tensor) -> Tensor | None:
        given = tensor.reshape(*shape, tensor.shape[-1])  # OPT flattens rows and positions
        result = function(given)
        return None if result is None else result.reshape(tensor.shape)

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        result = seen(args[0])
        return None if result is None else (result, *args[1:])

    def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        return seen(output)

    module = model.get_submodule(spot.module)
    return module.register_forward_pre_hook(before) if spot.side == "input" else module.register_forward_hook(after)
