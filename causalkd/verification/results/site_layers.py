"""The layers of a row's sites, of which a declared pair may have several in each model."""

from causalkd.alignment.spec import Alignment
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow

Layers = tuple[int, ...]


def site_layers(alignment: Alignment, row: InterchangeRow | DifferenceRow) -> tuple[Layers, Layers]:
    """The teacher's and the student's layers that one row intervenes on, each once, in ascending order."""
    declared = isinstance(row, DifferenceRow) or row.aligned  # differences are at declared pairs only
    pair = next((pair for pair in alignment.pairs if declared and pair.name == row.pair), None)
    if pair is None:
        return (row.teacher_layer,), (row.student_layer,)
    teacher, student = (tuple(sorted({site.layer for site in sites})) for sites in (pair.teacher, pair.student))
    return teacher, student


def arrow(alignment: Alignment, row: InterchangeRow | DifferenceRow) -> str:
    """The layers of a row's sites for a table: `1 → 0`, or `0 and 1 → 0`."""
    return " → ".join(map(written, site_layers(alignment, row)))


def written(layers: Layers) -> str:
    """The numbers of some layers: `3`, or `0, 1 and 2`."""
    *most, last = map(str, layers)
    return f"{', '.join(most)} and {last}" if most else last


def named(layers: Layers) -> str:
    """Some layers in a sentence: `layer 3`, or `layers 0, 1 and 2`."""
    return f"layer{'s' if len(layers) > 1 else ''} {written(layers)}"
