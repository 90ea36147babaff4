"""A check that no two fields of a study set one key: rows of its table would then state settings they did not have."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from causalkd.recipe.overrides import LENGTHS, steps_of_name

Key = tuple[frozenset[str], ...]
"""The path of a value in a recipe: for each step all its names, which for an item of a list are its number and name."""

_TRAINING, _STUDENTS, _EACH = frozenset({"training"}), frozenset({"students"}), "*"


class SetField(NamedTuple):
    """A field that a study sets."""

    place: str
    """Its path in the study, such as `grid.training.batch_size`."""
    field: str
    """Its name in the recipe, as `--set` takes it."""
    value: Any
    reason: str = ""
    """Why another value has no effect, for a field that the study itself sets."""


def overlaps(groups: Sequence[Sequence[SetField]], students: Sequence[str]) -> list[str]:
    """A line for each pair of fields that set one key.

    Args:
        groups: The fields in the order in which they are set. Those of one group belong together, and a later one may
            replace an earlier one.
        students: The names of the recipe's students.
    """
    return [
        _line(one, other, key)
        for earlier, later in combinations(groups, 2)
        for one, other in product(earlier, later)
        if (key := _shared(one, other, students)) is not None
    ]


def _line(one: SetField, other: SetField, key: Key) -> str:
    name = ".".join(max(step, key=lambda alias: (not alias.isdigit(), alias)) for step in key)
    if other.reason:
        what = one.place if name == one.field else f"{one.place}, which sets {name},"
        return f"{what} would have no effect: {other.reason}; leave it out"
    return f"{one.place} and {other.place} both set {name}, so one of them would have no effect; leave one of them out"


def _shared(one: SetField, other: SetField, students: Sequence[str]) -> Key | None:
    """A key that both set; None if there is none."""
    if other.reason and one.field == "students":
        return None  # Whole students have lengths of training as those of the recipe do; a budget replaces both.
    path, leaves = _path(other.field, students), list(_leaves(_path(one.field, students), one.value))
    for key, value in leaves:
        # A later field replaces all values below its own name, and any value above it except `{}`.
        if _begins(key, path) or (_begins(path, key) and value != {}):
            return key
    # A student's own key of its training shadows the shared one, whichever is set first.
    theirs = [key for key, _ in _leaves(path, other.value)]
    for (key, _), that in product(leaves, theirs):
        if _shared_training(key) & _own_training(that):
            return key if other.reason else that
        if _own_training(key) & _shared_training(that):
            return key
    return None


def _path(field: str, students: Sequence[str]) -> Key:
    first, *rest = field.split(".")
    if frozenset({first}) == _STUDENTS and rest:
        length = steps_of_name(rest, students)
        rest = [".".join(rest[:length]), *rest[length:]]
    steps = [frozenset({step}) for step in (first, *rest)]
    if steps[0] == _STUDENTS and len(steps) > 1:
        aliases = [frozenset({str(number), name}) for number, name in enumerate(students)]
        steps[1] = next((each for each in aliases if steps[1] <= each), steps[1])
    return tuple(steps)


def _leaves(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    """The keys that are set when a value is put at a key: those inside the value, as far as they have names."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _leaves((*key, frozenset({str(name)})), each)
    elif isinstance(value, Sequence) and value and all(isinstance(each, Mapping) for each in value):
        for number, each in enumerate(value):
            names = {str(number), *([str(each["name"])] if "name" in each else [])}
            yield from _leaves((*key, frozenset(names)), each)
    else:
        yield key, value


def _begins(key: Key, path: Key) -> bool:
    """Whether a key is at or below a path; `*` is each item."""
    pairs = zip(key, path, strict=False)
    return len(path) <= len(key) and all(_EACH in a or _EACH in b or a & b for a, b in pairs)


def _shared_training(key: Key) -> frozenset[str]:
    return _of_lengths(key[1]) if len(key) > 1 and key[0] == _TRAINING else frozenset()


def _own_training(key: Key) -> frozenset[str]:
    if len(key) > 3 and key[0] == _STUDENTS and key[2] == _TRAINING:
        return _of_lengths(key[3])
    return frozenset()


def _of_lengths(step: frozenset[str]) -> frozenset[str]:
    """The name of a key of a training; `steps` and `epochs` count as one, since each replaces the other."""
    return frozenset(LENGTHS) if step & set(LENGTHS) else step
