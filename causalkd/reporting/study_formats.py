"""The table of a study as CSV and as Markdown, and the writer of all its files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from causalkd.files.whole_files import write_whole
from causalkd.reporting.markdown_text import plain
from causalkd.reporting.study_measures import COSTS
from causalkd.reporting.study_table import said
from causalkd.reporting.study_types import Choice, Difference, Planned, Row, StudyTable
from causalkd.verification.statistics.aggregate import mean, mean_over_seeds, sd, sd_over_seeds

MEANING = (
    "*p* is that of the paired t-test over seeds, *q* the same adjusted for all differences of the measure (Benjamini–"
    "Hochberg). *Visible* is the smallest true difference that as many seeds, spread as these are, show with a "
    "probability of 80 %. *p, rows* is that of the same test over rows of data, for measures that are means over "
    "rows; each row is averaged over seeds. A finding has a q below 0.05, a size no smaller than visible and, if "
    "there is one, a *p, rows* below 0.05 of a difference of the same sign. If differences were planned, a finding "
    "is no smaller than *planned* either. Nothing is called a finding unless every seed has a number. *Over pairs* "
    "counts the seeds in which the run's own test over pairs of examples finds a difference of the same sign at every "
    "declared pair."
)
CHOICE = (
    "Each method tried the same settings, each with the same seeds and the same budget, on parts of the training "
    "examples; the rows that the study holds out were not read. The best that has a result of every seed was taken, "
    "the first of equals. *Counted* is the number of held-out rows behind the measure, or of pairs if it is an "
    "accuracy of interventions: with few rows and few seeds, the best may be so by chance. A finding between methods "
    "that took different settings names the fields, since the settings may be its cause."
)
PLAN = (
    "Calculated before the other cells were run. *Smallest* is the smallest true difference that the paired t-test "
    "over the planned seeds finds with a probability of 80 %, if differences spread as *sd* says. *At most* assumes a "
    "larger spread, which the true one exceeds with a probability of 20 %. Few seeds estimate a spread only roughly: "
    "an *sd* of 0.000 means that the pilot's seeds gave nearly equal differences, and says nothing about other seeds. "
    "*Over examples* is the smallest that shows over the rows, or over the pairs of one run. A difference below "
    "*smallest* is not called a finding."
)


def write_table(table: StudyTable, folder: Path) -> None:
    """Writes table.json, table.csv, table.md and seconds.csv, each in one step."""
    write_whole(folder / "table.json", table.to_json())
    write_whole(folder / "table.csv", table_csv(table))
    write_whole(folder / "table.md", table_markdown(table))
    lines = [("cell", "student", "seconds"), *table.seconds]
    write_whole(folder / "seconds.csv", _csv(lines))


def table_csv(table: StudyTable) -> str:
    """The table with one number per line: means with their spread, then differences with their interval and tests."""
    heads = ("kind", "method", "reference", "setting", "measure", "seeds", "value", "sd")
    heads = (*heads, "low", "high", "p", "q", "visible", "p_over_rows", "planned", "found")
    lines: list[Sequence[Any]] = [heads]
    for row in table.rows:
        for name, values in {**row.values, **row.costs}.items():
            one = ("mean", row.method, "", said(row.setting), name, len(row.seeds))
            lines.append((*one, mean_over_seeds(values), sd_over_seeds(values), *[""] * 8))
    for choice in table.chosen:
        for tried in choice.tried:
            setting = said({**choice.setting, **tried.fields})
            one = ("tried", choice.method, "", setting, choice.measure, len(tried.values), mean(tried.values))
            lines.append((*one, sd(tried.values), *[""] * 7, choice.fields == tried.fields))
    for each in table.differences:
        over = each.over_seeds
        ends = (each.p_over_rows, each.planned, each.found)
        one = ("difference", each.method, each.reference, said(each.setting), each.measure, over.seeds, over.mean)
        lines.append((*one, over.sd, over.low, over.high, over.p_value, each.q_value, over.visible, *ends))
    return _csv(lines)


def table_markdown(table: StudyTable) -> str:
    """The tables and the failures as Markdown, for readers."""
    rows = [row_cells(table, row) for row in table.rows]
    budget = f"{table.budget} Mean ± standard deviation over seeds."
    lines = [f"# {table.name}", "", budget, "", *table_lines(row_heads(table), rows)]
    if table.differences:
        lines += ["", "## Differences, paired over seeds", "", MEANING, ""]
        lines += table_lines(difference_heads(table), [difference_cells(table, each) for each in table.differences])
    for title, meaning, heads, cells in further_tables(table):
        lines += ["", f"## {title}", "", meaning, "", *table_lines(heads, cells)]
    if table.failures:
        lines += ["", "## Cells without a result", ""]
        lines += [f"- `{cell}`: {plain(fault[:500])}" for cell, fault in table.failures.items()]
    return "\n".join(lines) + "\n"


def row_heads(table: StudyTable) -> list[str]:
    """The heads of the table of methods."""
    return ["method", *_fields(table), "seeds", *table.measures, "block-forwards", "steps"]


def row_cells(table: StudyTable, row: Row) -> list[str]:
    """The cells of one method in one setting."""
    return [*_begin(row), _seeds(row), *(_spread(row, measure) for measure in table.measures), *_cost(row)]


def difference_heads(table: StudyTable) -> list[str]:
    """The heads of the table of differences."""
    return [
        "method",
        "reference",
        *_fields(table),
        "measure",
        "difference",
        "95 %",
        "p",
        "q",
        "visible",
        "p, rows",
        *(["planned"] if table.planned else []),
        "finding",
    ]


def difference_cells(table: StudyTable, each: Difference) -> list[str]:
    """The cells of one difference."""
    over = each.over_seeds
    interval = "–" if over.low is None or over.high is None else f"{_number(over.low)} to {_number(over.high)}"
    beyond = each.seeds_beyond_chance
    pairs = "" if beyond is None else f"; over pairs in {beyond} of {over.seeds} seeds"
    return [
        *(each.method, each.reference, *_begin(each)[1:], each.measure, _number(over.mean, "+"), interval),
        *(_chance(over.p_value), _chance(each.q_value), "–" if over.visible is None else _number(over.visible)),
        _chance(each.p_over_rows) + (" (other sign)" if each.is_opposite_over_rows else ""),
        *(["–" if each.planned is None else _number(each.planned)] if table.planned else []),
        (f"yes{_otherwise_set(table, each)}" if each.found else "no") + pairs,
    ]


def _otherwise_set(table: StudyTable, each: Difference) -> str:
    """The chosen fields in which two methods differ, after a space; empty where there are none."""
    of = {one.method: one.fields or {} for one in table.chosen if dict(one.setting) == dict(each.setting)}
    own, other = of.get(each.method, {}), of.get(each.reference, {})
    fields = [field for field, value in own.items() if field in other and other[field] != value]
    return f" (at another {' and '.join(fields)})" if fields else ""


def further_tables(table: StudyTable) -> list[tuple[str, str, list[str], list[list[str]]]]:
    """Title, meaning, heads and rows of the settings that were chosen and of the differences that were planned."""
    found = []
    if table.planned:
        heads = ["method", "reference", "setting", "measure", "pilot seeds", "sd", "seeds", "smallest", "at most"]
        rows = [_planned(each, table) for each in table.planned]
        found.append(("Smallest differences that can be shown", PLAN, [*heads, "over examples"], rows))
    if table.chosen:
        heads = ["method", "setting", "tried", "measure", "mean", "seeds", "counted", "chosen"]
        found.append(("Settings chosen", CHOICE, heads, [line for each in table.chosen for line in _choice(each)]))
    return found


def _planned(each: Planned, table: StudyTable) -> list[str]:
    known = each.measure in table.measures or not table.measures
    return [
        *(each.method or "any", each.reference or "any", said(each.setting)),
        each.measure + ("" if known else " (not measured)"),
        "given" if each.pilot_seeds is None else str(each.pilot_seeds),
        *(_number(each.sd), str(each.seeds), _number(each.smallest)),
        *("–" if value is None else _number(value) for value in (each.at_most, each.over_examples)),
    ]


def _choice(each: Choice) -> list[list[str]]:
    lines = []
    for one in each.tried:
        middle, taken = mean(one.values), each.fields == one.fields
        seeds = f"{len(one.values)} of {one.seeds}"
        spread = sd(one.values)
        known = "–" if middle is None else _number(middle) + ("" if spread is None else f" ± {_number(spread)}")
        counted = "–" if one.counted is None else f"{one.counted:,}"
        begin = [each.method, said(each.setting), said(one.fields)]
        lines.append([*begin, each.measure, known, seeds, counted, "yes" if taken else "no"])
    return lines


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(["" if each is None else each for each in line] for line in lines)
    return file.getvalue()


def _fields(table: StudyTable) -> list[str]:
    return list(table.rows[0].setting)


def _begin(row: Row | Difference) -> list[str]:
    return [row.method, *(str(value) for value in row.setting.values())]


def _seeds(row: Row) -> str:
    return str(len(row.seeds)) + (f" ({len(row.failed)} without a result)" if row.failed else "")


def _spread(row: Row, measure: str) -> str:
    middle, spread = row.mean(measure), row.sd(measure)
    values = row.values.get(measure, ())
    if middle is None and any(value is not None for value in values):
        return f"– (a number in {sum(value is not None for value in values)} of {len(values)} seeds)"
    return "–" if middle is None else _number(middle) + ("" if spread is None else f" ± {_number(spread)}")


def _cost(row: Row) -> list[str]:
    means = [mean_over_seeds(row.costs.get(name, ())) for name in COSTS]
    return ["–" if value is None else f"{value:,.0f}" for value in means]


def _number(value: float, sign: str = "") -> str:
    """Three decimals for values below 10, such as shares; one decimal for larger ones."""
    return f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign},.1f}"


def _chance(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, whose cells are escaped, since a value of a grid may be a pattern or a path."""
    first, *others = ([plain(cell) for cell in line] for line in (heads, *rows))
    return [f"| {' | '.join(line)} |" for line in (first, ["---"] * len(first), *others)]
