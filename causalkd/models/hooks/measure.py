"""Measure the hook points of a model: one forward pass of a few tokens shows which exist and how wide each is."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from causalkd.models.hooks.hook_functions import entering, leaving
from causalkd.models.hooks.hook_points import HookPoint

# The rows and positions of the measuring forward pass; where tokens are flattened, both are one dimension.
_ROWS, _POSITIONS = 1, 3


NOT_RUNNING = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""The errors of models that do not run on a few tokens."""


class MeasuredHookPoints(NamedTuple):
    """The result of one measuring forward pass.

    Attributes:
        hook_points: The hook points that are passed exactly once, with their widths.
        body: Path of the module that gives the head the last hidden states: the outermost called module around the
            blocks that returns no logits.
        returned: For each layer the length of the tuple that its block returns; None if it returns its hidden states
            alone.
    """

    hook_points: tuple[HookPoint, ...]
    body: str
    returned: tuple[int | None, ...]


def measured(
    model: PreTrainedModel,
    blocks_path: str,
    calls: Sequence[int],
    possible: Iterable[HookPoint],
    options: Mapping[str, bool],
) -> MeasuredHookPoints:
    """Measure the hook points of a model, in one forward pass of three tokens that leaves nothing behind.

    Args:
        model: A stock model.
        blocks_path: Path of its list of blocks.
        calls: For each layer the index of the block that computes it.
        possible: The candidates; if a component has several, the first that works counts.
        options: Further arguments of the forward pass.

    Raises:
        ValueError: The forward pass fails, or the blocks are not called once for each layer with hidden states.
    """
    possible, blocks = tuple(possible), list(model.get_submodule(blocks_path).children())
    parts = blocks_path.split(".")
    around = [".".join(parts[:depth]) for depth in range(1, len(parts))]
    if not can_run(model):
        return MeasuredHookPoints(_first(possible), around[-1] if around else "", (None,) * len(calls))
    seen: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
    returned: list[tuple[int, int | None]] = []
    handles = [block.register_forward_hook(partial(_note_returned, returned, i)) for i, block in enumerate(blocks)]
    watched = [(hook_point.module, hook_point.side) for hook_point in possible]
    watched += [(hook_point.added, "output") for hook_point in possible if hook_point.added is not None]
    for name, side in dict.fromkeys(watched):
        module, passed = model.get_submodule(name), seen[name, side]
        if side == "input":
            handles.append(module.register_forward_pre_hook(partial(_note_entering, passed), with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(partial(_note_leaving, passed)))
    called: dict[str, bool] = dict.fromkeys(around, False)
    handles += [model.get_submodule(name).register_forward_hook(partial(_note_called, called, name)) for name in around]
    try:
        with still(model):
            model(**few_tokens(model), **options)
    except NOT_RUNNING as error:
        raise ValueError(
            f"{type(model).__name__} does not run on {_POSITIONS} tokens ({type(error).__name__}: {error}), so its "
            f"hook points cannot be measured; {advice(model)}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    hook_points = _first(_sized(possible, seen, calls))
    _check_blocks(type(model).__name__, [block for block, _ in returned], calls, possible, hook_points)
    body = next((name for name, is_called in called.items() if is_called), "")
    return MeasuredHookPoints(hook_points, body, tuple(length for _, length in returned))


def advice(model: PreTrainedModel) -> str:
    """The advice for a model that does not run as it must."""
    other = "use another architecture, or another version of transformers"
    return (
        f"load it with dtype=torch.float32, in which more models run, or {other}"
        if model.dtype == torch.float64
        else other
    )


def few_tokens(model: PreTrainedModel, rows: int = _ROWS, positions: int = _POSITIONS) -> dict[str, Tensor]:
    """Rows of different tokens, none of them special if the vocabulary has enough others."""
    config = model.config.get_text_config()
    special: set[object] = set()
    for key, value in config.to_dict().items():
        if key.endswith("_token_id"):
            special.update(value if isinstance(value, list) else [value])
    plain = [token for token in range(min(config.vocab_size, 256)) if token not in special] or [0]
    # offloaded weights are moved to where they are needed
    device = "cpu" if model.device.type == "meta" else model.device
    ids = torch.tensor([plain[(7 * i + 3) % len(plain)] for i in range(rows * positions)], device=device)
    ids = ids.view(rows, positions)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def can_run(model: nn.Module) -> bool:
    """Whether the weights are in memory, or in storage from which accelerate loads them."""
    return "hf_device_map" in vars(model) or not any(parameter.is_meta for parameter in model.parameters())


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Forward passes inside have neither dropout nor graph, and nothing is compiled for them; modes are restored."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for module in training:
            module.training = True


class _Seen(NamedTuple):
    """The value that passed a hook point: a tensor, with its version at that time, or something else."""

    tensor: object
    version: int


def _sized(
    possible: Iterable[HookPoint], seen: Mapping[tuple[str, str], Sequence[_Seen]], calls: Sequence[int]
) -> Iterator[HookPoint]:
    """The hook points that are passed once by a tensor with positions, with its width."""
    for hook_point in possible:
        passed = seen[hook_point.module, hook_point.side]
        in_block = hook_point.component != "token_embedding"
        layers = [layer for layer, block in enumerate(calls) if block == calls[hook_point.layer]] if in_block else [0]
        turn = layers.index(hook_point.layer)
        tensor = passed[turn].tensor if len(passed) == len(layers) else None
        if not isinstance(tensor, Tensor) or not tensor.dim():
            continue
        *outer, width = tensor.shape
        # Some modules flatten rows and positions; their outputs are unflattened.
        is_flat = hook_point.is_inside and hook_point.side == "output" and outer == [_ROWS * _POSITIONS]
        if (outer == [_ROWS, _POSITIONS] or is_flat) and width % hook_point.heads == 0:
            overwritten = tensor._version != passed[turn].version
            others = seen.get((hook_point.added or "", "output"), ())
            added = hook_point.added if _is_added(tensor, others, turn) else None
            yield replace(hook_point, width=width, is_overwritten=overwritten, added=added)


def _is_added(tensor: Tensor, passed: Sequence[_Seen], turn: int) -> bool:
    """Whether a module gave this tensor in that turn; this cannot be told if it is all zeros."""
    other = passed[turn].tensor if turn < len(passed) else None
    return isinstance(other, Tensor) and bool(tensor.any()) and torch.equal(tensor.flatten(), other.flatten())


def _first(hook_points: Iterable[HookPoint]) -> tuple[HookPoint, ...]:
    found: dict[tuple[str, int], HookPoint] = {}
    for hook_point in hook_points:
        found.setdefault((hook_point.component, hook_point.layer), hook_point)
    return tuple(found.values())


def _check_blocks(
    name: str,
    called: Sequence[int],
    calls: Sequence[int],
    possible: Iterable[HookPoint],
    hook_points: Iterable[HookPoint],
) -> None:
    if list(called) != list(calls):
        raise ValueError(
            f"{name} calls its blocks in the order {_listed(called)} in one forward, where {_listed(calls)} was "
            "expected, so a layer's number does not name one activation; use another architecture"
        )
    names = {hook_point.name for hook_point in hook_points}
    boundaries = [hook_point.name for hook_point in possible if hook_point.component in ("block_input", "block_output")]
    lacking = [boundary for boundary in boundaries if boundary not in names]
    if lacking:
        raise ValueError(
            f"{name}: what passes {', '.join(lacking)} is not a tensor of rows, positions and columns; use another "
            "architecture"
        )


def _note_entering(seen: list[_Seen], module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    seen.append(_seen(entering(args, kwargs) if args or "hidden_states" in kwargs else None))


def _note_leaving(seen: list[_Seen], module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    seen.append(_seen(leaving(output)))


def _seen(passing: Any) -> _Seen:
    return _Seen(passing, passing._version if isinstance(passing, Tensor) else 0)


def _note_called(called: dict[str, bool], name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    called[name] = called[name] or not (isinstance(output, Mapping) and "logits" in output)


def _note_returned(
    returned: list[tuple[int, int | None]], block: int, module: nn.Module, args: tuple[Any, ...], output: Any
) -> None:
    returned.append((block, len(output) if isinstance(output, tuple | list) else None))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
