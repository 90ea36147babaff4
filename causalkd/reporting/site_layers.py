"""The layers of a row's sites, of which a declared pair may have several in each model."""

from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.report import VerificationReport

Layers = tuple[int, ...]


def site_layers(report: VerificationReport, row: InterchangeRow) -> tuple[Layers, Layers]:
    """The teacher's and the student's layers that one row intervenes on, each once, in ascending order."""
    pair = next((pair for pair in report.alignment.pairs if row.aligned and pair.name == row.pair), None)
    if pair is None:
        return (row.teacher_layer,), (row.student_layer,)
    teacher, student = (tuple(sorted({site.layer for site in sites})) for sites in (pair.teacher, pair.student))
    return teacher, student


def written(layers: Layers) -> str:
    """The numbers of some layers: `3`, or `0, 1 and 2`."""
    *most, last = map(str, layers)
    return f"{', '.join(most)} and {last}" if most else last
