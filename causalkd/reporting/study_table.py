"""The table of a study: each method's measures over seeds, paired differences, cost and failures, as data."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from causalkd.alignment.spec import GRID
from causalkd.recipe.study import Study
from causalkd.reporting.study_measures import (
    ALIGNED,
    COSTS,
    NOT_COMPARED,
    CellResult,
    Measures,
    costs,
    heldout_rows,
    measures,
)
from causalkd.reporting.study_types import Choice, Difference, Planned, Row, StudyTable
from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.evidence import is_sure
from causalkd.verification.statistics.paired_difference import PairedDifference, interval_visible, paired_difference
from causalkd.verification.statistics.permutation import benjamini_hochberg

_TESTED = f"effective IIA at {ALIGNED}"

_IN_NATS = "perplexity on "
"""The beginning of the names of measures whose rows are scored in nats."""


class _Key(NamedTuple):
    method: str
    setting: str


def study_table(
    study: Study, results: Sequence[CellResult], chosen: Sequence[Choice] = (), planned: Sequence[Planned] = ()
) -> StudyTable:
    """The table of the results of all cells.

    Args:
        study: The study.
        results: The result of each cell.
        chosen: The settings that were chosen before the study.
        planned: The smallest differences that were calculated before the study.
    """
    rows = _rows(study, results)
    first = results[0].cell.method(results[0].cell.recipe.students[0].name)
    references = [_references(results, name) for name in study.references or (first,)]
    failures = {each.cell.name: each.fault for each in results if each.fault is not None}
    seconds = tuple(
        (each.cell.name, student.name, student.seconds)
        for each in results
        if each.report is not None
        for student in each.report.students
    )
    differences = tuple(_differences(rows, references, results, planned))
    chosen, planned = tuple(chosen), tuple(planned)
    return StudyTable(
        study.name, _budget(study) + _chosen_checkpoints(results), rows, differences, failures, seconds, chosen, planned
    )


def said(setting: Mapping[str, Any]) -> str:
    """A setting in words."""
    return ", ".join(f"{field} = {value}" for field, value in setting.items())


def _rows(study: Study, results: Sequence[CellResult]) -> tuple[Row, ...]:
    found: dict[_Key, list[tuple[CellResult, str]]] = {}
    for each in results:
        for part in each.cell.recipe.students:
            found.setdefault(_Key(each.cell.method(part.name), said(each.cell.setting)), []).append((each, part.name))
    rows = []
    for key, cells in found.items():
        finished = [(each, name) for each, name in cells if each.report is not None]
        measured = [measures(study, each, name) for each, name in finished]
        spent = [costs(each, name) for each, name in finished]
        counts = [count for each, name in finished if (count := heldout_rows(each, name)) is not None]
        rows.append(
            Row(
                key.method,
                cells[0][0].cell.setting,
                tuple(each.cell.seed for each, _ in finished),
                tuple(each.cell.seed for each, _ in cells if each.report is None),
                {name: tuple(one.get(name) for one in measured) for name in _names(measured)},
                {name: tuple(one[name] for one in spent) for name in COSTS if spent},
                min(counts, default=None),
            )
        )
    return tuple(rows)


def _names(measured: Sequence[Measures]) -> list[str]:
    return list(dict.fromkeys(name for one in measured for name in one))


def _references(results: Sequence[CellResult], reference: str) -> dict[str, str]:
    """The method that each method is compared with, if that is another one."""
    methods = {
        (each.cell.variant, part.name): each.cell.method(part.name)
        for each in results
        for part in each.cell.recipe.students
    }
    if reference in methods.values():
        found = {method: reference for method in methods.values()}
    elif any(variant == reference for variant, _ in methods):
        found = {method: methods.get((reference, student)) for (_, student), method in methods.items()}
    else:
        found = {method: methods.get((variant, reference)) for (variant, _), method in methods.items()}
    return {method: other for method, other in found.items() if other is not None and other != method}


def _differences(
    rows: Sequence[Row],
    references: Sequence[Mapping[str, str]],
    results: Sequence[CellResult],
    planned: Sequence[Planned],
) -> Iterator[Difference]:
    by_key = {_Key(row.method, said(row.setting)): row for row in rows}
    found: list[tuple[Row, Row, str, PairedDifference]] = []
    compared: set[frozenset[str]] = set()
    for each, row in product(references, rows):
        other = by_key.get(_Key(each.get(row.method, ""), said(row.setting)))
        if other is None or (both := frozenset([row.method, other.method, said(row.setting)])) in compared:
            continue
        compared.add(both)
        for name in row.values:
            paired = None if name.startswith(NOT_COMPARED) else _paired(row, other, name)
            if paired is not None:
                found.append((row, other, name, paired))
    adjusted: dict[str, list[float | None]] = {}
    for name in dict.fromkeys(name for _, _, name, _ in found):
        adjusted[name] = benjamini_hochberg([paired.p_value for _, _, measure, paired in found if measure == name])
    for row, other, name, paired in found:
        pairs = _over_pairs(row, other, results) if name == _TESTED else []
        over_rows = _over_rows(row, other, name, results)
        visible = (
            interval_visible([each.high - each.low for _, each in pairs]) if over_rows is None else over_rows.visible
        )
        mean_over_rows = None if over_rows is None else over_rows.mean
        if over_rows is not None and name.startswith(_IN_NATS):  # rows in nats have another unit than the measure
            visible, mean_over_rows = None, -over_rows.mean
        names = (row.method, other.method, row.setting, name)
        yield Difference(
            *names,
            paired,
            adjusted[name].pop(0),
            _beyond_chance(pairs, paired.mean) if pairs else None,
            None if over_rows is None else over_rows.p_value,
            mean_over_rows,
            visible,
            next((each.smallest for each in planned if each.concerns(*names)), None),
            len({*row.seeds, *row.failed, *other.seeds, *other.failed}) - paired.seeds,
        )


def _paired(row: Row, other: Row, measure: str) -> PairedDifference | None:
    mine = dict(zip(row.seeds, row.values.get(measure, ()), strict=False))
    theirs = dict(zip(other.seeds, other.values.get(measure, ()), strict=False))
    both = [
        (value, reference)
        for seed, value in mine.items()
        if value is not None and (reference := theirs.get(seed)) is not None
    ]
    return paired_difference([value for value, _ in both], [reference for _, reference in both])


def _over_rows(row: Row, other: Row, measure: str, results: Sequence[CellResult]) -> PairedDifference | None:
    """The test over the rows of another task; None if the measure is not a mean over rows, or not over the same."""
    scores = []
    for method, seeds in ((row.method, other.seeds), (other.method, row.seeds)):
        found = [
            each.rows[part.name, measure]
            for each in results
            for part in each.cell.recipe.students
            if each.cell.method(part.name) == method and said(each.cell.setting) == said(row.setting)
            if each.cell.seed in seeds and (part.name, measure) in each.rows
        ]
        scores.append([sum(one) / len(found) for one in zip(*found, strict=False)])
    if not scores[0] or len(scores[0]) != len(scores[1]):
        return None
    return paired_difference(*scores)


def _over_pairs(row: Row, other: Row, results: Sequence[CellResult]) -> list[tuple[VerificationReport, DifferenceRow]]:
    """The rows of the reports' own tests over pairs of examples between two students of one run, at declared pairs.

    Each row comes with its report.
    """
    return [
        (each.report, found)
        for each in results
        if each.report is not None and said(each.cell.setting) == said(row.setting)
        for found in each.report.differences
        if (each.cell.method(found.student), each.cell.method(found.reference)) == (row.method, other.method)
        if (found.measure, found.baseline) == ("iia_effective", "measured") and not found.pair.startswith(GRID)
    ]


def _beyond_chance(pairs: Sequence[tuple[VerificationReport, DifferenceRow]], sign: float) -> int:
    """The number of seeds in which a difference of this sign is beyond chance at every declared pair."""
    by_seed: dict[int, list[bool]] = {}
    for report, each in pairs:
        by_seed.setdefault(each.seed, []).append(is_sure(report, each) and each.difference * sign > 0)
    return sum(all(found) for found in by_seed.values())


def _budget(study: Study) -> str:
    if study.budget is None:
        return "Each student trains as long as its recipe says."
    words = {"steps": "optimizer steps", "epochs": "epochs", "block_forwards": "block-forwards"}
    words |= {"operations": "floating-point operations", "minutes": "minutes"}
    kinds = {"steps": "steps", "epochs": "epochs", "block_forwards": "compute", "minutes": "time"}
    kinds["operations"] = "compute"
    unit = study.budget.unit
    return f"Equal {kinds[unit]}: {study.budget.amount:,g} {words[unit]} for each student."


def _chosen_checkpoints(results: Sequence[CellResult]) -> str:
    """A sentence, after a space, if checkpoints were chosen on held-out rows; otherwise empty."""
    reports = [each.report for each in results if each.report is not None]
    if not any(model.chosen_by for report in reports for model in (report.teacher, *report.students)):
        return ""
    return " Checkpoints were chosen on the same held-out rows, so scores on these are somewhat too high."
