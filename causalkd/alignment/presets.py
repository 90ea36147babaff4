"""The alignments of the DIITO paper by name, for any depths."""

from typing import Literal, get_args

from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.errors import nearest

Name = Literal["middle", "late", "full"]
READY_MADE: tuple[Name, ...] = get_args(Name)

Layers = tuple[int, ...]


def preset(name: str, teacher_layers: int, student_layers: int) -> Alignment:
    """An alignment of block outputs, with the paper's positions: random spans of 0.3 of the row.

    `middle`: the middle blocks. `late`: the third and the second block from the end. `full`: every student block, with
    the teacher blocks it replaces. For a teacher of 12 and students of 6 and 3 layers these are the paper's alignments
    (section 4). The output of the last block, of which only the positions that the head reads matter, is used only by
    `full`, and by the others if a model has a single layer.

    Args:
        name: `middle`, `late` or `full`.
        teacher_layers: Number of the teacher's blocks.
        student_layers: Number of the student's blocks.

    Raises:
        ValueError: No such name, or a model without blocks.
    """
    faults = [] if name in READY_MADE else [f"{name!r} is not a preset alignment; {nearest(name, list(READY_MADE))}"]
    for whose, layers in (("teacher", teacher_layers), ("student", student_layers)):
        if layers < 1:
            faults.append(f"the {whose} has {layers} layers; it needs at least 1")
    if faults:
        raise ValueError("\n".join(faults))
    layer_pairs = {"middle": _middle, "late": _late, "full": _full}[name](teacher_layers, student_layers)
    pairs = tuple(_pair(name if len(layer_pairs) == 1 else f"{name}_{i}", *pair) for i, pair in enumerate(layer_pairs))
    return Alignment(name=name, positions=PositionPolicy(policy="consecutive", fraction=0.3, maximum=None), pairs=pairs)


def _pair(name: str, teacher: Layers, student: Layers) -> SitePair:
    return SitePair(
        name=name,
        teacher=tuple(Site(layer=layer) for layer in teacher),
        student=tuple(Site(layer=layer) for layer in student),
    )


def _middle(teacher: int, student: int) -> list[tuple[Layers, Layers]]:
    # The middle, but with two layers the first one: after the last one nothing would be left to change.
    return [((min(teacher // 2, max(teacher - 2, 0)),), (min(student // 2, max(student - 2, 0)),))]


def _late(teacher: int, student: int) -> list[tuple[Layers, Layers]]:
    from_end = [back for back in (3, 2) if back <= min(teacher, student)]
    if not from_end:  # one of the models has a single layer
        return [((max(teacher - 2, 0),), (max(student - 2, 0),))]
    return [((teacher - back,), (student - back,)) for back in from_end]


def _full(teacher: int, student: int) -> list[tuple[Layers, Layers]]:
    if student > teacher:
        return [(one, several) for several, one in _full(student, teacher)]
    starts = [index * teacher // student for index in range(student + 1)]
    return [(tuple(range(starts[i], starts[i + 1])), (i,)) for i in range(student)]
