"""Writes what a study found as a page of `analysis/results`, with its figure: every number from the study's folder.

`python -m analysis.scripts.study_result STUDY.yaml WORDS.yaml FOLDER` sums up what is finished and writes
study-NAME.md and study-NAME.svg. WORDS holds what no number says: the question, the setting, what it shows and what it
does not.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.figures.study_figure import study_figure
from analysis.figures.style import save
from causalkd.errors import read_yaml
from causalkd.files.whole_files import write_whole
from causalkd.recipe.study import Study
from causalkd.reporting.study_formats import (
    MEANING,
    difference_cells,
    difference_heads,
    further_tables,
    row_cells,
    row_heads,
    table_lines,
)
from causalkd.reporting.study_measures import PAIRS, TEACHER
from causalkd.reporting.study_types import StudyTable
from causalkd.runs.study import read_study


@dataclass(frozen=True)
class Words:
    """What the page says beside its numbers."""

    title: str
    command: str
    setting: str
    measures: list[str]
    """Which measures stand in the tables and the figure, in this order."""
    shows: str
    limits: str
    claim: str = ""
    """Whether the paper's effect appears; empty where no paper claims one."""

    @classmethod
    def load(cls, path: Path) -> "Words":
        """Reads the file.

        Raises:
            ValueError: Keys are missing, unknown or not there as text.
        """
        try:
            return cls(**read_yaml(path))
        except TypeError as error:
            raise ValueError(f"{path}: {error}; it has the keys {', '.join(cls.__annotations__)}") from None


def result_page(table: StudyTable, words: Words, figure: str) -> str:
    """The page as Markdown.

    Raises:
        ValueError: The study has no measure that the words name.
    """
    unknown = [name for name in words.measures if name not in table.measures]
    if unknown:
        raise ValueError(f"the study has no measures {unknown}; it has {', '.join(table.measures)}")
    rows = tuple(replace(row, values={m: row.values.get(m, ()) for m in words.measures}) for row in table.rows)
    shown = replace(table, rows=rows)
    differences = [each for each in table.differences if each.measure in words.measures]
    parts = [
        f"# {words.title}",
        f"**Command.** {words.command}",
        f"**Setting.** {words.setting.strip()}",
        f"{table.budget} Mean ± standard deviation over seeds.",
        "\n".join(table_lines(row_heads(shown), [row_cells(shown, row) for row in rows])),
        f"![Every seed a point, the mean a line]({figure})",
        f"Differences, paired over seeds. {MEANING}",
        "\n".join(table_lines(difference_heads(table), [difference_cells(table, each) for each in differences])),
        f"**Power.** {_power(table, words)}",
        *(
            f"**{title}.** {meaning}\n\n" + "\n".join(table_lines(heads, lines))
            for title, meaning, heads, lines in further_tables(table)
        ),
        f"**What it shows.** {words.shows.strip()}",
        *([f"**The claim.** {words.claim.strip()}"] if words.claim else []),
        f"**What it does not show.** {words.limits.strip()}",
    ]
    if table.failures:
        parts.append("**Cells without a result.** " + "; ".join(f"`{c}`: {why}" for c, why in table.failures.items()))
    return "\n\n".join(parts) + "\n"


def _power(table: StudyTable, words: Words) -> str:
    """The range of differences in each measure that the study could have seen."""
    said = []
    for name in words.measures:
        found = [each.over_seeds.visible for each in table.differences if each.measure == name]
        known = sorted(value for value in found if value is not None)
        if known:
            reach = f"{known[0]:.3f}" if len(known) == 1 else f"{known[0]:.3f} to {known[-1]:.3f}"
            said.append(f"{name}: {reach}")
    seeds = max((len(row.seeds) for row in table.rows), default=0)
    return (
        f"With {seeds} seeds that spread as these do, the smallest true difference that the paired test finds with a "
        f"probability of 80 % is, from method to method, of {'; '.join(said)}. A smaller one is not called a finding."
        if said
        else "With so few seeds nothing can be called a finding."
    )


def main(study: str, words: str, folder: str) -> None:
    """Writes the page and the figure."""
    parsed, said = Study.load(study), Words.load(Path(words))
    table = read_study(parsed)
    name = f"study-{parsed.name}"
    drawn = [each for each in said.measures if not each.startswith((TEACHER, PAIRS))]  # the same for every method
    save(study_figure(table, drawn), Path(folder) / f"{name}.svg")
    write_whole(Path(folder) / f"{name}.md", result_page(table, said, f"{name}.svg"))


if __name__ == "__main__":
    main(*sys.argv[1:4])
