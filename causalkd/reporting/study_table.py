"""The table of a study: each method's measures over seeds, paired differences, cost and failures, as data."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, NamedTuple

from causalkd.recipe.study import Study
from causalkd.reporting.study_measures import ALIGNED, BASELINE, COSTS, TEACHER, CellResult, Measures, costs, measures
from causalkd.verification.statistics.aggregate import mean, sd
from causalkd.verification.statistics.paired_difference import PairedDifference, paired_difference
from causalkd.verification.statistics.permutation import CHANCE, benjamini_hochberg


@dataclass(frozen=True)
class Row:
    """One method in one setting, over all seeds."""

    method: str
    setting: Mapping[str, Any]
    seeds: tuple[int, ...]
    """Those that are finished."""
    failed: tuple[int, ...]
    """Those that failed."""
    values: Mapping[str, tuple[float | None, ...]]
    """One value of each measure for every finished seed."""
    costs: Mapping[str, tuple[float | None, ...]]
    """The same of what the training cost."""

    def mean(self, measure: str) -> float | None:
        """The mean over the seeds; None where it was not measured."""
        return mean(self.values.get(measure, ()))

    def sd(self, measure: str) -> float | None:
        """The standard deviation over the seeds; None for fewer than two."""
        return sd(self.values.get(measure, ()))


@dataclass(frozen=True)
class Difference:
    """How one method differs from the reference in one setting, paired over their shared seeds."""

    method: str
    reference: str
    setting: Mapping[str, Any]
    measure: str
    over_seeds: PairedDifference
    q_value: float | None
    """The p-value adjusted for the number of differences of this measure in the study (Benjamini–Hochberg)."""
    seeds_beyond_chance: int | None
    """Effective IIA at the declared pairs, of students of one run: in how many seeds the paired test over *pairs of
    examples* finds a difference of this sign beyond chance; None where no pairs are shared."""

    p_over_rows: float | None = None
    """The p-value of a paired t-test over the rows of another task, each row's score averaged over the seeds."""

    @property
    def found(self) -> bool:
        """Whether it may be called a finding: beyond chance, and no smaller than what the seeds could show."""
        visible = self.over_seeds.visible
        if self.p_over_rows is not None and self.p_over_rows >= CHANCE:
            return False
        beyond = self.q_value is not None and self.q_value < CHANCE
        return beyond and visible is not None and abs(self.over_seeds.mean) >= visible


@dataclass(frozen=True)
class StudyTable:
    """All that a study found."""

    name: str
    budget: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    failures: Mapping[str, str]
    """Why a cell has no result, by its name."""
    seconds: tuple[tuple[str, str, float | None], ...]
    """Cell, student, and how long its training took on whatever machine it ran."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures, in order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))

    def to_json(self) -> str:
        """The table as JSON, without what depends on the machine."""
        rows = [
            {**asdict(row), "mean": {m: row.mean(m) for m in row.values}, "sd": {m: row.sd(m) for m in row.values}}
            for row in self.rows
        ]
        differences = [{**asdict(row), "found": row.found} for row in self.differences]
        content = {"schema_version": 1, "study": self.name, "budget": self.budget}
        content |= {"rows": rows, "differences": differences, "failures": dict(self.failures)}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_TESTED = f"effective IIA at {ALIGNED}"


class _Key(NamedTuple):
    method: str
    setting: str


def study_table(study: Study, results: Sequence[CellResult]) -> StudyTable:
    """The table of what came of all cells."""
    rows = _rows(study, results)
    first = results[0].cell.method(results[0].cell.recipe.students[0].name)
    chosen = [_references(results, name) for name in study.references or (first,)]
    failures = {each.cell.name: each.fault for each in results if each.fault is not None}
    seconds = tuple(
        (each.cell.name, student.name, student.seconds)
        for each in results
        if each.report is not None
        for student in each.report.students
    )
    differences = tuple(_differences(rows, chosen, results))
    return StudyTable(study.name, _budget(study), rows, differences, failures, seconds)


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
        rows.append(
            Row(
                key.method,
                cells[0][0].cell.setting,
                tuple(each.cell.seed for each, _ in finished),
                tuple(each.cell.seed for each, _ in cells if each.report is None),
                {name: tuple(one.get(name) for one in measured) for name in _names(measured)},
                {name: tuple(one[name] for one in spent) for name in COSTS if spent},
            )
        )
    return tuple(rows)


def _names(measured: Sequence[Measures]) -> list[str]:
    return list(dict.fromkeys(name for one in measured for name in one))


def _references(results: Sequence[CellResult], reference: str) -> dict[str, str]:
    """The method that each method is compared with, where there is another one."""
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
    rows: Sequence[Row], references: Sequence[Mapping[str, str]], results: Sequence[CellResult]
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
            paired = None if name.startswith((TEACHER, BASELINE)) else _paired(row, other, name)
            if paired is not None:
                found.append((row, other, name, paired))
    adjusted: dict[str, list[float | None]] = {}
    for name in dict.fromkeys(name for _, _, name, _ in found):
        adjusted[name] = benjamini_hochberg([paired.p_value for _, _, measure, paired in found if measure == name])
    for row, other, name, paired in found:
        beyond = _beyond_chance(row, other, paired.mean, results) if name == _TESTED else None
        over_rows = _p_over_rows(row, other, name, results)
        q_value = adjusted[name].pop(0)
        yield Difference(row.method, other.method, row.setting, name, paired, q_value, beyond, over_rows)


def _paired(row: Row, other: Row, measure: str) -> PairedDifference | None:
    mine = dict(zip(row.seeds, row.values.get(measure, ()), strict=False))
    theirs = dict(zip(other.seeds, other.values.get(measure, ()), strict=False))
    both = [
        (value, reference)
        for seed, value in mine.items()
        if value is not None and (reference := theirs.get(seed)) is not None
    ]
    return paired_difference([value for value, _ in both], [reference for _, reference in both])


def _p_over_rows(row: Row, other: Row, measure: str, results: Sequence[CellResult]) -> float | None:
    """The test over the rows of another task; None where the same rows were not scored one by one."""
    label, scores = measure.rpartition(" on ")[2], []
    for method, seeds in ((row.method, other.seeds), (other.method, row.seeds)):
        found = [
            each.rows[part.name, label]
            for each in results
            for part in each.cell.recipe.students
            if each.cell.method(part.name) == method and said(each.cell.setting) == said(row.setting)
            if each.cell.seed in seeds and (part.name, label) in each.rows
        ]
        scores.append([sum(one) / len(found) for one in zip(*found, strict=False)])
    if not scores[0] or len(scores[0]) != len(scores[1]):
        return None
    paired = paired_difference(*scores)
    return None if paired is None else paired.p_value


def _beyond_chance(row: Row, other: Row, sign: float, results: Sequence[CellResult]) -> int | None:
    """The number of seeds in which the report's own test over pairs of examples finds a difference of this sign."""
    count, tested = 0, False
    for each in results:
        if each.report is None or said(each.cell.setting) != said(row.setting):
            continue
        for found in each.report.differences:
            names = each.cell.method(found.student), each.cell.method(found.reference)
            if names == (row.method, other.method) and (found.measure, found.baseline) == ("iia_effective", "measured"):
                tested = True
                count += found.q_value is not None and found.q_value < CHANCE and found.difference * sign > 0
    return count if tested else None


def _budget(study: Study) -> str:
    if study.budget is None:
        return "Each student trains as long as its recipe says."
    words = {"steps": "optimizer steps", "epochs": "epochs", "block_forwards": "block-forwards", "minutes": "minutes"}
    kinds = {"steps": "steps", "epochs": "epochs", "block_forwards": "compute", "minutes": "time"}
    unit = study.budget.unit
    return f"Equal {kinds[unit]}: {study.budget.amount:,g} {words[unit]} for each student."
