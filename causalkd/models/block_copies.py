"""Copy blocks of a model into another, and check that the copy computes what the blocks computed.

The check knows no architectures. The teacher computes each chosen block alone, at the block's own number,
from the output of the block before it, and the student is compared block by block.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.models.layer_settings import settings_by_number

_POSITIONS = 16
# Copies run the same kernels on the same numbers; what is left is the order of sums on some devices.
_ROUNDINGS = 4
_Plain = bool | int | float | str | None


def copy_weights(teacher: HookedModel, student: HookedModel, chosen: Sequence[int]) -> tuple[str, ...]:
    """Copies weights of the same name and shape into the student, in the teacher's precision: those of the chosen
    blocks, and all outside blocks. At the teacher's width it also copies, from weights outside the blocks that hold one
    group of entries per block, the groups of the chosen blocks.

    Returns:
        The teacher's weights outside blocks or in chosen ones that do not fit into the student, and the student's that
        got no weight of the teacher; each under the name that its model uses.
    """
    prefix = teacher.adapter.translate_transformer_lens_path("blocks") + "."
    given = teacher.model.state_dict()
    taken: dict[str, Tensor] = {}
    fresh: list[str] = []
    used: set[str] = set()
    is_as_wide = student.width == teacher.width
    # The teacher's block behind each block of the student, which several layers can share.
    behind = {block: teacher.layers.calls[layer] for block, layer in zip(student.layers.calls, chosen, strict=True)}
    for name, parameter in student.model.state_dict().items():
        origin = _origin(name, prefix, behind)
        weight = given.get(origin)
        # In a narrower student any size may differ, in one of the same width only those that depend on the block count.
        if weight is not None and weight.shape != parameter.shape and is_as_wide and not name.startswith(prefix):
            weight = _of_blocks(weight, parameter.shape, teacher.n_layers, chosen)
        if weight is None or weight.shape != parameter.shape:
            fresh.append(name)
            continue
        taken[name] = weight.detach().clone()
        used.add(origin)
    # Assigned, because a teacher can keep some weights in another precision than the rest.
    student.model.load_state_dict(taken, strict=False, assign=True)
    student.model.tie_weights()
    wanted = {name for name in given if not name.startswith(prefix) or _layer(name, prefix) in behind.values()}
    return tuple(dict.fromkeys([*sorted(wanted - used), *fresh]))


def check_copy(teacher: HookedModel, student: HookedModel, chosen: Sequence[int], left: Sequence[str]) -> None:
    """Refuses a student of the teacher's width that does not compute what the chosen blocks of the teacher compute.

    Costs one forward of the student on one short row and its head once more, and of the teacher its chosen blocks once
    and its embeddings once for each.

    Args:
        teacher: The model that the blocks come from.
        student: The copy, on the teacher's device and in its precision.
        chosen: The teacher's block that each block of the student is copied from.
        left: The result of `copy_weights`.

    Raises:
        ValueError: Weights were not copied, or a block or the logits depart from the teacher's.
    """
    faults = [f"{len(left)} weights have no counterpart: {', '.join(left[:4])}{', …' if left[4:] else ''}"] * bool(left)
    faults += _differing_attributes(teacher, student, chosen)
    if not left:
        faults += _departures(teacher, student, chosen)
    if faults:
        names = settings_by_number(teacher.model)
        suspected = (
            f" This architecture's code reads {', '.join(names)} together with a block's number." if names else ""
        )
        raise ValueError(
            f"blocks {list(chosen)} of this {teacher.architecture} compute something else as a student's blocks "
            f"0–{len(chosen) - 1} than they do in the teacher:\n"
            + "\n".join(f"- {fault}" for fault in faults)
            + f"\nChoose blocks that keep their numbers (0, 1, 2, …) or their kind, or use another student.{suspected}"
        )


def _of_blocks(weight: Tensor, shape: torch.Size, total: int, chosen: Sequence[int]) -> Tensor | None:
    """The chosen blocks' part of a weight outside the blocks, if it has one group of entries per block."""
    differing = [axis for axis, size in enumerate(shape) if weight.dim() == len(shape) and weight.shape[axis] != size]
    if len(differing) != 1:
        return None
    axis = differing[0]
    group, rest = divmod(weight.shape[axis], total)
    if rest or shape[axis] != group * len(chosen):
        return None
    groups = weight.unflatten(axis, (total, group)).index_select(axis, torch.tensor(chosen, device=weight.device))
    return groups.flatten(axis, axis + 1)


def _layer(name: str, prefix: str) -> int:
    return int(name.removeprefix(prefix).split(".", 1)[0])


def _origin(name: str, prefix: str, behind: Mapping[int, int]) -> str:
    if not name.startswith(prefix):
        return name
    index, rest = name.removeprefix(prefix).split(".", 1)
    return f"{prefix}{behind[int(index)]}.{rest}"


def _differing_attributes(teacher: HookedModel, student: HookedModel, chosen: Sequence[int]) -> Iterator[str]:
    """Modules and plain attributes that differ: a window longer than the test row shows in no forward pass."""
    for number, layer in enumerate(chosen):
        theirs = dict(teacher.layers[layer].named_modules())
        for name, module in student.layers[number].named_modules():
            counterpart = theirs.get(name)
            if counterpart is None or type(module) is not type(counterpart):
                kinds = f"{type(module).__name__}, the teacher's {type(counterpart).__name__}"
                yield f"{name or 'the block'} of block {number} is a {kinds} in its block {layer}"
                continue
            for attribute, mine, other in _attributes(module, counterpart):
                if mine != other and not _goes_with_number(mine, other, number, layer):
                    where = ".".join(part for part in (name, attribute) if part)
                    yield f"{where} of block {number} is {mine!r}, of the teacher's block {layer} {other!r}"


def _attributes(module: nn.Module, other: nn.Module) -> Iterator[tuple[str, _Plain, _Plain]]:
    theirs = vars(other)
    for name, value in vars(module).items():
        plain = isinstance(value, _Plain) and isinstance(theirs.get(name), _Plain)
        if plain and name != "training" and not name.startswith("_"):
            yield name, value, theirs[name]


def _goes_with_number(mine: _Plain, other: _Plain, number: int, layer: int) -> bool:
    """Whether two attributes are the blocks' own numbers, counted from any start."""
    return type(mine) is int and type(other) is int and other - mine == layer - number


def _departures(teacher: HookedModel, student: HookedModel, chosen: Sequence[int]) -> list[str]:
    """The first block at which the student departs from the teacher, or the logits."""
    inputs = _probe(teacher)
    hook_points = [student.hook_point("block_output", number) for number in range(len(chosen))]
    try:
        with evaluating([teacher, student]), torch.no_grad():
            expected, logits = _with_chosen_blocks(teacher, inputs, chosen)
            run = student.run(inputs, hook_points)
            # From the teacher's hidden states: rounding in blocks that keep a state grows in the head.
            with student.resumed(len(chosen), expected[-1]):
                given = student.run(inputs).logits
    except (AttributeError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"the blocks of this {teacher.architecture} cannot be run apart from each other, by which a cut is checked "
            f"({type(error).__name__}: {error}); use a student that has a checkpoint of its own"
        ) from error
    for number, (hook_point, wanted) in enumerate(zip(hook_points, expected, strict=True)):
        if fault := _departure(run.activations[hook_point], wanted):
            return [f"the output of block {number} departs from that of the teacher's block {chosen[number]} {fault}"]
    fault = _departure(given, logits)
    return [f"the logits depart from the teacher's {fault}"] if fault else []


def _departure(given: Tensor, wanted: Tensor) -> str:
    if given.shape != wanted.shape:
        return f"in shape: {tuple(given.shape)}, expected {tuple(wanted.shape)}"
    size = wanted.double().abs().max().item()
    gap = (given.double() - wanted.double()).abs().max().item()
    # Also of infinite or undefined values, which compare as false.
    return (
        "" if gap <= _ROUNDINGS * torch.finfo(wanted.dtype).eps * size else f"by {gap:.3g}, at values up to {size:.3g}"
    )


def _with_chosen_blocks(teacher: HookedModel, inputs: Inputs, chosen: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The outputs of the chosen blocks and the logits of the teacher with all other blocks left out.

    Each block runs at its own number, in whatever order they were chosen.
    """
    entry = teacher.hook_point("block_input", 0)
    hidden = teacher.read(inputs, [entry]).activations[entry]
    outputs = []
    for layer in chosen:
        hook_point = teacher.hook_point("block_output", layer)
        with teacher.resumed(layer, hidden):
            hidden = teacher.read(inputs, [hook_point]).activations[hook_point]
        outputs.append(hidden)
    with teacher.resumed(teacher.n_layers, hidden):
        return outputs, teacher.run(inputs).logits


def _probe(model: HookedModel) -> Inputs:
    """One row without padding, which a model without a padding token takes too."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.vocabulary, (1, min(_POSITIONS, most_tokens(model.model))), generator=generator)
    tokens = tokens.to(model.model.device)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
