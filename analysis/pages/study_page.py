"""One self-contained HTML page of a study, and its figure as a file."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis.figures.study_figure import study_figure
from analysis.figures.style import save, to_svg
from analysis.pages.sorting import sorting
from causalkd.files.whole_files import write_whole
from causalkd.recipe.study import Study
from causalkd.reporting.study_formats import (
    MEANING,
    difference_cells,
    difference_heads,
    further_tables,
    row_cells,
    row_heads,
    table_markdown,
)
from causalkd.reporting.study_types import StudyTable
from causalkd.runs.study import read_study, run_study
from causalkd.runs.study_cells import StudyFolder


def study_page(table: StudyTable) -> str:
    """The page as text; it needs no network and no file beside it."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(
        resources.files("analysis.pages").joinpath("templates/study.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        table=table,
        figure=Markup(to_svg(study_figure(table), "study")) if table.measures else None,
        heads=row_heads(table),
        rows=[row_cells(table, row) for row in table.rows],
        difference_heads=difference_heads(table),
        differences=[difference_cells(table, each) for each in table.differences],
        further=[(title, text.replace("*", ""), *rest) for title, text, *rest in further_tables(table)],
        sort=sorting(),
        meaning=MEANING.replace("*", ""),
    )


def write_page(table: StudyTable, folder: Path) -> None:
    """Writes study.html and, if a cell has a result, study.svg into the study's folder."""
    write_whole(folder / "study.html", study_page(table))
    if table.measures:
        save(study_figure(table), folder / "study.svg")


def study_with_page(
    file: Path, only_table: bool, retry_failed: bool, tell: Callable[[str], None], only_power: bool = False
) -> tuple[str, bool]:
    """Runs a study, or only its pilot, or only sums up what is finished of it, and writes its page.

    Returns:
        The table as Markdown, and whether a cell that was to be run failed.
    """
    study = Study.load(file)
    if only_table:
        table = read_study(study)
    else:
        table = run_study(study, retry_failed=retry_failed, only_power=only_power, page=write_page, tell=tell)
    write_page(table, study.folder)
    reasons = StudyFolder(study.folder).failures
    failed = not only_table and any((reasons / f"{name}.json").is_file() for name in table.failures)
    return f"{table_markdown(table)}\n{study.folder / 'study.html'}", failed
