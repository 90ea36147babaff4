"""One self-contained HTML page of a report: tables, figures inside the page, and what each number means."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from types import MappingProxyType
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.attribution_section import agreement_lines, attribution_figures, gap_lines
from analysis.downloads import downloads
from analysis.grids import find_grids, find_heads
from analysis.interchange_maps import interchange_maps
from analysis.site_scores import site_scores
from analysis.style import Draw, student_colours, to_svg
from analysis.teaching_section import teaching_figures
from analysis.training_curves import Metrics, terms, training_curves
from causalkd.attribution.maps import AttributionMap
from causalkd.reporting.attribution_tables import distance_rows
from causalkd.reporting.student_comparison import reference_sentences
from causalkd.reporting.summary import summaries
from causalkd.reporting.tables import LEARNING_MAPS
from causalkd.reporting.verdict import student_sentences, verdict
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import InterchangeRow, Measure, VerificationReport
from causalkd.verification.results.rows import GroundTruthRow

_MEASURES: dict[Measure, tuple[str, str]] = {
    "iia_effective": (
        "Effective interchange accuracy",
        "On pairs whose intervention changed the teacher's prediction.",
    ),
    "iia": (
        "Interchange accuracy on all pairs",
        "On many of them an intervention may change nothing, which is easy.",
    ),
}


@dataclass(frozen=True)
class Picture:
    """A figure as it stands in the page."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """Figures that answer one question."""

    title: str
    meaning: str
    pictures: tuple[Picture, ...]


def render(
    report: VerificationReport, metrics: Metrics = (), maps: Mapping[str, AttributionMap] = MappingProxyType({})
) -> str:
    """The page as text; it needs no network and no file beside it.

    Args:
        report: What a verification found.
        metrics: Rows of the run's metrics file, for the loss curves; none leaves the curves out.
        maps: Every model's attribution map at the embedding's output; none leaves out the texts.
    """
    names = dict.fromkeys(student.name for student in report.students)
    of_students = [row for name in names for row in metrics if row["student"] == name]  # not the teacher's own training
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"share": _share, "signed": _signed, "chance": _chance, "count": _count}
    template = environment.from_string(
        resources.files("analysis").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        report=report,
        summaries=summaries(report),
        verdict=(*verdict(report), *student_sentences(report)),
        baseline_table=BASELINES,
        colours=student_colours(student.name for student in report.students),
        compared=reference_sentences(report),
        between=[row for row in report.differences if row.student != row.reference],
        against_controls=[row for row in report.differences if row.student == row.reference],
        truth=_truth(report),
        sections=[*_sections(report), *_curves(report, of_students)],
        attribution=_attribution(report, maps),
        teaching=_teaching(report, of_students),
        cells=_cells(report),
        learning_maps=LEARNING_MAPS,
        downloads=downloads(report, of_students),
        alignment=report.alignment.to_yaml(),
        facts=_facts(report),
    )


def _sections(report: VerificationReport) -> list[Section]:
    scores = _picture(
        "scores", partial(site_scores, report), "Every seed a point; a line is its 95 % interval, for one site."
    )
    meaning = "Aligned sites are in the objective: what is learned beyond it shows at the other sites."
    sections = [Section("Aligned and other sites", meaning, (scores,))]
    if not any(find_grids(report, student.name, student.seed) for student in report.students):
        return sections
    for measure, (title, meaning) in _MEASURES.items():
        draw = partial(interchange_maps, report, measure)
        pictures = (
            _picture(measure, draw, "Layer by layer, for each student's first seed."),
            _picture(
                f"{measure} above",
                partial(draw, above_baseline=True),
                "The same minus the best baseline at the same sites; blue is above it.",
            ),
        )
        sections.append(Section(title, meaning, pictures))
    return [*sections, *_head_sections(report)]


def _head_sections(report: VerificationReport) -> list[Section]:
    if not report.heads:
        return []
    draw = partial(interchange_maps, report, find=find_heads)
    pictures = (
        _picture("heads", draw, "Head by head at the layers of each site pair, for each student's first seed."),
        _picture(
            "heads above",
            partial(draw, above_baseline=True),
            "The same minus the best baseline at the same sites; blue is above it.",
        ),
    )
    return [Section("Heads", "Each head of the teacher against each head of the student, effective.", pictures)]


def _curves(report: VerificationReport, metrics: Metrics) -> list[Section]:
    if not terms(metrics):
        return []
    unit = "squared difference" if report.teacher.task == "regression" else "nats"
    picture = _picture(
        "curves", partial(training_curves, metrics, unit), "Thin lines are single seeds, thick ones their mean."
    )
    return [
        Section(
            "Training",
            "Every term unweighted, and the loss they sum up to with their weights; effective IIA where watched.",
            (picture,),
        )
    ]


def _attribution(report: VerificationReport, maps: Mapping[str, AttributionMap]) -> dict[str, Any] | None:
    """What the page says of attribution maps; None where none were made."""
    results = report.attribution
    if results is None:
        return None
    figures = attribution_figures(results, maps)
    pictures = [_picture(f"attribution{number}", *figure) for number, figure in enumerate(figures)]
    return {
        "settings": asdict(results.settings),
        "agreement": agreement_lines(results),
        "faithfulness": results.faithfulness,
        "gaps": gap_lines(results),
        "map_distances": distance_rows(results) if results.map_distances else [],
        "pictures": pictures,
    }


def _teaching(report: VerificationReport, metrics: Metrics) -> dict[str, Any] | None:
    """What the page says of teaching modes; None where none were measured."""
    results = None if report.attribution is None else report.attribution.teaching
    if results is None:
        return None
    figures = teaching_figures(results, metrics)
    pictures = [_picture(f"teaching{number}", *figure) for number, figure in enumerate(figures)]
    return {"results": results, "tokens": len(results.tokens.uncertainty), "pictures": pictures}


def _picture(name: str, draw: Draw, caption: str) -> Picture:
    try:
        return Picture(Markup(to_svg(draw(), name)), caption)
    except Exception as error:  # of any kind: no figure is worth the report that it illustrates
        reason = str(error).strip().partition("\n")[0][:200]
        told = f"This figure could not be drawn ({type(error).__name__}: {reason}). The numbers are in the tables."
        return Picture(Markup("<p>{}</p>").format(told), caption)


def _cells(report: VerificationReport) -> list[dict[str, object]]:
    """One line per site and seed: the measurement, with each baseline's accuracy."""
    baselines: dict[tuple[object, ...], dict[str, float | None]] = {}
    for row in report.interchange:
        baselines.setdefault(_key(row), {})[row.baseline] = row.iia_effective
    return [
        {**asdict(row), "baselines": [baselines[_key(row)].get(name) for name in BASELINES]}
        for row in report.interchange
        if row.baseline == "measured"
    ]


@dataclass(frozen=True)
class TruthTable:
    """One model against the task's own causal model: a line per variable, a column per layer."""

    title: str
    layers: tuple[int, ...]
    lines: Mapping[str, tuple[GroundTruthRow, ...]]

    def best(self, row: GroundTruthRow) -> float | None:
        """The highest of a row's baselines."""
        return max((value for value in row.baselines.values() if value is not None), default=None)


def _truth(report: VerificationReport) -> list[TruthTable]:
    """A table for each model and each choice of positions; of the students only the first seed."""
    seeds = {student.name: student.seed for student in reversed(report.students)}
    rows = [row for row in report.ground_truth if row.seed == seeds.get(row.model)]
    tables = []
    for model, pair in dict.fromkeys((row.model, row.pair) for row in rows):
        lines: dict[str, list[GroundTruthRow]] = {}
        for row in rows:
            if (row.model, row.pair) == (model, pair):
                lines.setdefault(row.variable, []).append(row)
        layers = tuple(row.layer for row in next(iter(lines.values())))
        title = f"{model}, positions of {pair!r}"
        tables.append(TruthTable(title, layers, {name: tuple(cells) for name, cells in lines.items()}))
    return tables


def _key(row: InterchangeRow) -> tuple[object, ...]:
    place = (row.pair, row.component, row.unit, row.head, row.teacher_layer, row.student_layer)
    return (row.student, row.seed, *place)


def _facts(report: VerificationReport) -> Mapping[str, str]:
    """The environment, as name and value."""
    found = report.environment
    facts = {name: str(value) for name, value in asdict(found).items() if name != "versions"}
    return facts | dict(found.versions)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _chance(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: int | float | None) -> str:
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")
