"""One self-contained HTML page of a report: tables, figures inside the page, and what each number means."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib import resources
from types import MappingProxyType
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from analysis.figures.grids import find_grids, find_heads
from analysis.figures.interchange_maps import interchange_maps
from analysis.figures.layer_stacks import layer_stacks, scale
from analysis.figures.score_bars import bar_groups, key_to
from analysis.figures.site_scores import site_scores
from analysis.figures.style import Draw, student_colours, to_svg
from analysis.figures.training_curves import Metrics, terms, training_curves
from analysis.pages import findings
from analysis.pages.attribution_section import agreement_lines, attribution_figures, attribution_texts, gap_lines
from analysis.pages.downloads import downloads
from analysis.pages.page_tables import cell_lines, difference_lines, environment_facts, truth_tables
from analysis.pages.sorting import sorting
from analysis.pages.teaching_section import teaching_figures, teaching_texts
from analysis.pages.text_views import SHOWN_VIEWS
from causalkd.attribution.maps import AttributionMap
from causalkd.reporting.attribution_tables import distance_rows
from causalkd.reporting.explanation import explanation, not_concluded
from causalkd.reporting.headline import named_students
from causalkd.reporting.numbers import percent, probability
from causalkd.reporting.student_comparison import reference_sentences
from causalkd.reporting.summary import summaries
from causalkd.reporting.tables import (
    chosen_checkpoints,
    held_out,
    learning_maps,
    left_out,
    no_numbers,
    site_means,
    task_certainty,
    touched,
)
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.interchange_rows import Measure
from causalkd.verification.results.report import VerificationReport

_MEASURES: dict[Measure, tuple[str, str]] = {
    "iia_effective": (
        "Layer by layer",
        "On the pairs on which the intervention changed the teacher's prediction.",
    ),
    "iia": (
        "Layer by layer, all pairs",
        "On many of all pairs, an intervention changes nothing, which is easy.",
    ),
}


_NARROWEST = 0.8
"""How much narrower than it was drawn a figure may be, to stand beside another one."""


@dataclass(frozen=True)
class Picture:
    """A figure as it stands in the page; narrow ones share a line by `width`, how narrow they may be, in CSS."""

    svg: Markup
    caption: str
    width: str = "40rem"


@dataclass(frozen=True)
class Section:
    """Figures that answer one question; the finding is what they show."""

    anchor: str
    title: str
    finding: str
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
    # Not those of the teacher's own training.
    of_students = [row for name in report.names for row in metrics if row["student"] == name]
    template = page_template()
    sections, bars = [*_sections(report), *_curves(report, of_students)], bar_groups(report)
    return template.render(
        report=report,
        summaries=summaries(report),
        site_means=[*touched(report), *site_means(report), *left_out(report)],
        notes=[*chosen_checkpoints(report), *no_numbers(report), *held_out(report)],
        certainty=task_certainty(report),
        verdict=verdict(report),
        explanation=explanation(report),
        not_concluded=not_concluded(report),
        stacks=[layer_stacks(report, name) for name in named_students(report)],
        scale=scale(),
        sort=sorting(),
        shown_views=SHOWN_VIEWS,
        bars=bars,
        key=key_to(bars),
        seeds=len({student.seed for student in report.students}),
        contents=_contents(report, sections),
        findings=_findings(report),
        baseline_table=BASELINES,
        colours=student_colours(report.names),
        compared=reference_sentences(report),
        between=difference_lines(report, between=True),
        against_controls=difference_lines(report, between=False),
        kinds={row.kind for row in report.interchange},
        truth=truth_tables(report),
        sections=sections,
        attribution=_attribution(report, maps),
        teaching=_teaching(report, of_students),
        cells=cell_lines(report),
        learning_maps=learning_maps(report.students),
        downloads=downloads(report, of_students),
        alignment=report.alignment.to_yaml(),
        facts=environment_facts(report),
    )


@cache
def page_template() -> jinja2.Template:
    """The template of the page, with its ways of writing numbers; it is compiled once."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "share": _share,
        "signed": _signed,
        "chance": probability,
        "count": _count,
        "percent": percent,
        "width": _width,
        "code": _code,
    }
    return environment.from_string(
        resources.files("analysis.pages").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    )


def _sections(report: VerificationReport) -> list[Section]:
    scores = _picture(
        "scores", partial(site_scores, report), "Every seed is a point; a line is its 95% interval, for one site."
    )
    meaning = findings.meaning_of_sites(report)
    sections = [Section("sites", "Aligned and other sites", findings.of_sites(report), meaning, (scores,))]
    if not any(find_grids(report, student.name, student.seed) for student in report.students):
        return sections
    for measure, (title, meaning) in _MEASURES.items():
        pictures = _maps(partial(interchange_maps, report, measure), measure, "Layer by layer")
        sections.append(Section(measure, title, findings.of_grids(report, measure), meaning, pictures))
    if report.heads:
        pictures = _maps(partial(interchange_maps, report, find=find_heads), "heads", "Head by head at each site pair")
        shown = findings.of_grids(report, "iia_effective", find_heads)
        meaning = "Each head of the teacher against each head of the student, effective IIA."
        sections.append(Section("heads", "Heads", shown, meaning, pictures))
    return sections


def _maps(draw: Callable[..., Figure], name: str, of: str) -> tuple[Picture, ...]:
    pairs = "all pairs" if name == "iia" else "effective pairs"
    above = (
        f"The same minus the highest of the baselines at the same site, itself counted on {pairs}; blue is above it."
    )
    return (
        _picture(name, draw, f"{of}, for each student's first seed."),
        _picture(f"{name} above", partial(draw, above_baseline=True), above),
    )


def _curves(report: VerificationReport, metrics: Metrics) -> list[Section]:
    if not terms(metrics):
        return []
    unit = "squared difference" if report.teacher.task == "regression" else "nats"
    draw = partial(training_curves, metrics, unit)
    picture = _picture("curves", draw, "Thin lines are single seeds, thick ones their mean.")
    meaning = "Every term unweighted, and the loss they sum up to with their weights; effective IIA where watched."
    return [Section("training", "Training", findings.of_training(metrics), meaning, (picture,))]


def _contents(report: VerificationReport, sections: Sequence[Section]) -> dict[str, str]:
    """The title of every section that the page has, by its anchor, in order."""
    attribution = report.attribution
    titles = {
        "table": ("All numbers", True),
        "differences": ("Differences between students", any(r.student != r.reference for r in report.differences)),
        **{section.anchor: (section.title, True) for section in sections},
        "departures": ("Where students do not follow the teacher", bool(report.mismatches)),
        "distances": ("Are the states realistic?", bool(report.off_distribution)),
        "truth": ("Against the task's own causal model", bool(report.ground_truth)),
        "attribution": ("Which tokens the predictions depend on", attribution is not None),
        "teaching": ("The teaching mode of each token", attribution is not None and attribution.teaching is not None),
        "meaning": ("What each number means", True),
        "making": ("How it was made", True),
    }
    return {anchor: title for anchor, (title, shown) in titles.items() if shown}


def _findings(report: VerificationReport) -> dict[str, str]:
    """The opening sentences of the sections that are not made of figures alone."""
    maps = report.attribution
    return {
        "task": findings.of_task(report),
        "departures": findings.of_departures(report) if report.mismatches else "",
        "distances": findings.of_distances(report) if report.off_distribution else "",
        "truth": findings.of_truth(report.ground_truth) if report.ground_truth else "",
        "attribution": findings.of_attribution(maps) if maps else "",
        "teaching": findings.of_teaching(maps.teaching) if maps and maps.teaching else "",
    }


def _attribution(report: VerificationReport, maps: Mapping[str, AttributionMap]) -> dict[str, Any] | None:
    """What the page says of attribution maps; None where none were made."""
    results = report.attribution
    if results is None:
        return None
    figures = attribution_figures(results)
    pictures = [_picture(f"attribution{number}", *figure) for number, figure in enumerate(figures)]
    return {
        "settings": asdict(results.settings),
        "agreement": agreement_lines(results),
        "faithfulness": results.faithfulness,
        "gaps": gap_lines(results),
        "map_distances": distance_rows(results) if results.map_distances else [],
        "pictures": pictures,
        "texts": attribution_texts(results, maps),
    }


def _teaching(report: VerificationReport, metrics: Metrics) -> dict[str, Any] | None:
    """What the page says of teaching modes; None where none were measured."""
    results = None if report.attribution is None else report.attribution.teaching
    if results is None:
        return None
    figures = teaching_figures(results, metrics)
    pictures = [_picture(f"teaching{number}", *figure) for number, figure in enumerate(figures)]
    return {
        "results": results,
        "tokens": len(results.tokens.uncertainty),
        "pictures": pictures,
        "texts": teaching_texts(results),
    }


def _picture(name: str, draw: Draw, caption: str) -> Picture:
    try:
        figure = draw()
        return Picture(_as_wide(to_svg(figure, name)), caption, f"{_NARROWEST * 72 * figure.get_figwidth():.0f}pt")
    except Exception as error:  # of any kind: no figure is worth the report that it illustrates
        reason = str(error).strip().partition("\n")[0][:200]
        told = f"This figure could not be drawn ({type(error).__name__}: {reason}). The numbers are in the tables."
        return Picture(Markup("<p>{}</p>").format(told), caption)


def _as_wide(svg: str) -> Markup:
    """The figure, drawn as wide as its place but at most a quarter wider than it was meant."""
    return Markup(re.sub(r'^<svg ([^>]*?)width="([\d.]+)pt"', _limited, svg, count=1))


def _limited(found: re.Match[str]) -> str:
    return f'<svg style="max-width: {1.25 * float(found[2]):.0f}pt" {found[1]}width="{found[2]}pt"'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _width(value: float) -> str:
    """A share as a width in CSS."""
    return f"{100 * min(max(value, 0.0), 1.0):.2f}%"


def _code(text: str) -> Markup:
    """A text in which what stands between backticks is code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in parts)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+z.3f}".replace("-", "−")


def _count(value: int | float | None) -> str:
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")
