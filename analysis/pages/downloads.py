"""The numbers behind a page's figures, as files inside the page."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from markupsafe import Markup

from analysis.figures.training_curves import Metrics
from causalkd.verification.results.report import VerificationReport


@dataclass(frozen=True)
class Download:
    """One file inside the page."""

    name: str
    meaning: str
    address: Markup
    """A data URL that holds the whole file."""


def downloads(report: VerificationReport, metrics: Metrics = ()) -> list[Download]:
    """A CSV file for each kind of numbers in the report."""
    maps = report.attribution
    kinds = {
        "interchange.csv": ("every accuracy and baseline, with intervals, p and q", _plain(report.interchange)),
        "heads.csv": ("every head against every head", _plain(report.heads)),
        "differences.csv": ("every paired difference", _plain(report.differences)),
        "ground-truth.csv": ("every model against the task's causal model", _plain(report.ground_truth)),
        "off-distribution.csv": ("distances of counterfactual states from clean ones", _plain(report.off_distribution)),
        "training.csv": ("every logged term", list(metrics)),
        "agreement.csv": ("agreement of attribution maps", _plain(maps.agreement if maps else ())),
        "faithfulness.csv": ("every map's faithfulness", _plain(maps.faithfulness if maps else ())),
        "completeness.csv": ("every map's completeness gap", _plain(maps.completeness if maps else ())),
        "map-distances.csv": ("AD-KD's own term", _plain(maps.map_distances if maps else ())),
    }
    return [Download(name, meaning, _address(rows)) for name, (meaning, rows) in kinds.items() if rows]


def _plain(rows: Sequence[object]) -> list[dict[str, object]]:
    return [_flat(asdict(row)) for row in rows]  # type: ignore[call-overload]


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """A row whose mappings have become columns of their own."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        flat |= {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, Mapping) else {name: value}
    return flat


def _address(rows: Sequence[Mapping[str, object]]) -> Markup:
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Markup("data:text/csv;charset=utf-8;base64," + base64.b64encode(text.getvalue().encode()).decode())
