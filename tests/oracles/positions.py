"""Slow, plain versions of what `causalkd.data.pairs.draw_positions` does at once for all rows."""


def paired(base_mask: list[list[bool]], source_mask: list[list[bool]]) -> list[list[tuple[int, int]]]:
    """The (base, source) positions of each row: the k-th True of one mask with the k-th True of the other."""
    rows = []
    for base_row, source_row in zip(base_mask, source_mask, strict=True):
        base = [position for position, chosen in enumerate(base_row) if chosen]
        source = [position for position, chosen in enumerate(source_row) if chosen]
        rows.append(list(zip(base, source, strict=True)))
    return rows


def real_positions(counted: list[bool]) -> list[int]:
    """The positions of the real tokens of one row."""
    return [position for position, real in enumerate(counted) if real]


def release_count(fraction: float, maximum: int | None, base_length: int, source_length: int) -> int:
    """The number of positions at which the DIITO release intervenes in a row."""
    count = int(min(base_length, source_length) * fraction)
    return count if maximum is None else min(count, maximum)


def in_segments(names: tuple[str, ...], segments: dict[str, tuple[int, int]]) -> list[int]:
    """The token numbers of several segments, one after the other."""
    return [token for name in names for token in range(*segments[name])]
