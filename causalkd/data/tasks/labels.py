"""Labels: their names in the data, and the number, the set or the score that represents each in an example."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from causalkd.errors import few

if TYPE_CHECKING:
    from datasets import Dataset

_NUMBER = re.compile(r"-?\d{1,100}(\.\d{1,100})?")
_AS_NAMES = (
    "Give each row a list of the names of its labels, each once; or, of flags, a column of 0 and 1 for each label, as "
    "`columns: {labels: [a, b, c]}`"
)
_FLAGS = {"0", "1", "true", "false"}


def declared_names(rows: "Dataset", column: str) -> tuple[str, ...]:
    """The names that the data set itself has for the numbers in a column."""
    from datasets import ClassLabel

    feature = rows.features[column]
    inner: Any = getattr(feature, "feature", feature)
    return tuple(inner.names) if isinstance(inner, ClassLabel) else ()


def named(values: list[Any], names: tuple[str, ...]) -> list[Any]:
    """Numbers of a declared class as its names, in lists too; -1, GLUE's mark of a hidden label, as nothing."""
    if not names:
        return values
    return [
        named(value, names)
        if isinstance(value, list)
        else names[value]
        if isinstance(value, int) and 0 <= value < len(names)
        else None
        for value in values
    ]


def flat(values: Sequence[Any]) -> list[Any]:
    """The labels of rows that each have a list of them, or nothing."""
    return [each for value in values for each in (value if isinstance(value, list) else [value] if value else [])]


def flagged(names: Sequence[str], flags: Sequence[Any]) -> list[str]:
    """The labels whose columns have a 1."""
    return [name for name, flag in zip(names, flags, strict=True) if int(flag)]


def numbers_of(
    values: Sequence[str | int | float], labels: tuple[str, ...], origin: str, *, numbered: bool = True
) -> list[int]:
    """The number of each label, which is given by name or, where they are `numbered`, by number.

    Only by name where a name is itself a number.

    Raises ValueError for labels that are neither.
    """
    known = {_plain(name): number for number, name in enumerate(labels)}
    known |= {name: number for number, name in enumerate(labels)}
    by_number = numbered and not any(_NUMBER.fullmatch(name) for name in labels)
    if by_number:
        known |= {str(number): number for number in range(len(labels))}
    found = [known.get(str(value), known.get(_plain(value))) for value in values]
    unknown = [value for value, number in zip(values, found, strict=True) if number is None]
    if unknown:
        raise ValueError(
            f"{origin} has labels outside the task's set: {_counted(unknown)}. The labels are "
            f"{few(labels)}{', or their numbers from 0' if by_number else ''}. Correct or remove these rows"
            + ("" if numbered else ", or name the labels, in the order of their numbers, in `labels`")
        )
    return [number for number in found if number is not None]


def _counted(values: Sequence[Any]) -> str:
    """Each value once, in their order, with how often it occurs."""
    return few([f"'{value}' ({count} times)" for value, count in Counter(map(str, values)).items()], 5)


def in_order(names: Iterable[str | int | float]) -> list[str]:
    """Names of labels in their order: by value where all are numbers, else by letters."""
    texts = {name_of(name) for name in names}
    numbers = all(_NUMBER.fullmatch(text) for text in texts)
    return sorted(texts, key=lambda text: (Decimal(text) if numbers else 0, text))


def name_of(value: str | int | float) -> str:
    """The name of a label; a whole number has no decimals, which tables with gaps and JSON give it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def check_names(names: Sequence[str], rows: int, kind: str, origin: str) -> None:
    """Raises ValueError for two spellings of one label, such as true and 1, and for too few or too many names."""
    plain = [_plain(name.strip().casefold()) for name in names]
    alike = [name for name, each in zip(names, plain, strict=True) if plain.count(each) > 1]
    mixed = [name for name, each in zip(names, plain, strict=True) if each in _FLAGS or _NUMBER.fullmatch(each)]
    is_mixed = any(map(_NUMBER.fullmatch, plain)) and any(each in ("true", "false") for each in plain)
    if alike or is_mixed:
        how = "that differ only in capitals, blanks or decimals" if alike else "of true or false beside numbers"
        raise ValueError(
            f"{origin} has labels {how}: {few(list(map(repr, alike or mixed)), 6)}. Correct the rows, or name all "
            "classes in `labels`"
        )
    if len(names) < 2 or (len(names) > rows / 2 and len(names) > 50):
        raise ValueError(
            f"{origin} has {len(names)} different values in {rows} rows, which is too few or too many for classes. "
            f"Name another column as `columns.label`, or use another kind than {kind}"
        )


def is_missing(value: Any) -> bool:
    """Whether a label is missing: None, an empty text, or the NaN of a table with gaps."""
    return value is None or value == "" or value != value


def _plain(value: str | int | float) -> str:
    """The name of a label, without the decimals of a whole number, so that `1.0` is `1`."""
    name = name_of(value)
    return re.sub(r"\.0+", "", name) if re.fullmatch(r"-?\d+\.0+", name) else name


def numbers_of_each(
    values: Sequence[Sequence[str | int]], labels: tuple[str, ...], origin: str, *, numbered: bool = True
) -> list[list[int]]:
    """The numbers of the labels of each row."""
    numbers = iter(numbers_of([label for row in values for label in row], labels, origin, numbered=numbered))
    return [[next(numbers) for _ in row] for row in values]


def flags_of_sets(
    values: Sequence[Sequence[str | int]], labels: tuple[str, ...], origin: str, *, numbered: bool = True
) -> list[tuple[int, ...]]:
    """The labels of each row as numbers: 1 at the labels that it has, and 0 at the others.

    Raises ValueError for a row that names a label twice, by its name or its number, as flags of 0 and 1 would.
    """
    found = numbers_of_each(values, labels, origin, numbered=numbered)
    twice = [row for row, numbers in zip(values, found, strict=True) if len(set(numbers)) < len(numbers)]
    if twice:
        raise ValueError(f"{origin} has {len(twice)} rows that name a label twice, such as {twice[0]}. {_AS_NAMES}")
    return [tuple(int(number in row) for number in range(len(labels))) for row in map(set, found)]


def check_sets(values: Sequence[Any], labels: tuple[str, ...], origin: str) -> None:
    """Refuses lists of a flag for each label, which would be read as the names of two labels; ValueError.

    Lists count as such if all are equally long, have as many values as there are labels, if these are given, and hold
    0 and 1, or true and false, that are not given labels.
    """
    rows = [value for value in values if isinstance(value, list)]
    lengths, texts = set(map(len, rows)), {_plain(each).casefold() for each in flat(rows)}
    fits = len(lengths) == 1 and (not labels or lengths == {len(labels)})
    if fits and texts and texts <= _FLAGS and not texts <= set(map(str.casefold, labels)):
        raise ValueError(f"{origin} has a list of flags in each row, such as {rows[0]}. {_AS_NAMES}")
