"""The table of a study as data: rows, differences, the settings that were chosen, and what was planned."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from causalkd.verification.statistics.aggregate import mean_over_seeds, sd_over_seeds
from causalkd.verification.statistics.paired_difference import PairedDifference
from causalkd.verification.statistics.permutation import CHANCE


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
    heldout_rows: int | None = None
    """The fewest held-out rows of a seed that the metric of the task was measured on; None where it is not known."""

    def mean(self, measure: str) -> float | None:
        """The mean over the finished seeds; None unless each has a number."""
        return mean_over_seeds(self.values.get(measure, ()))

    def sd(self, measure: str) -> float | None:
        """The standard deviation over the finished seeds; None unless each has a number, and for fewer than two."""
        return sd_over_seeds(self.values.get(measure, ()))


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
    examples* finds a difference of this sign beyond chance at every declared pair; None where no pairs are shared."""

    p_over_rows: float | None = None
    """The p-value of a paired t-test over the rows of another task, each row's score averaged over the seeds; None
    where the measure is no mean over rows."""
    mean_over_rows: float | None = None
    """The mean difference of that test; of a perplexity, the one of its logarithm, which is a mean over rows."""
    visible_over_examples: float | None = None
    """The smallest true difference that shows over these rows, or over the pairs of examples of one run."""
    planned: float | None = None
    """The smallest difference that the study was planned to show; None where that was not calculated beforehand."""
    lacking: int = 0
    """How many seeds have no number of one of the two. They failed, and a test that is looked at after each seed finds
    too much; or the number is not defined, as where a training diverged, and the others would speak for it."""

    @property
    def is_opposite_over_rows(self) -> bool:
        """Whether the test over rows found the other sign, and so speaks against the difference over seeds."""
        return self.mean_over_rows is not None and self.mean_over_rows * self.over_seeds.mean <= 0

    @property
    def found(self) -> bool:
        """Whether it may be called a finding: beyond chance, and no smaller than what the seeds could show, by their
        own spread and by the one that was calculated with beforehand, and of the same sign over rows; only when every
        seed has a number.
        """
        visible = self.over_seeds.visible
        if self.lacking:
            return False
        if self.planned is not None and abs(self.over_seeds.mean) < self.planned:
            return False
        if self.p_over_rows is not None and (self.p_over_rows >= CHANCE or self.is_opposite_over_rows):
            return False
        beyond = self.q_value is not None and self.q_value < CHANCE
        return beyond and visible is not None and abs(self.over_seeds.mean) >= visible


@dataclass(frozen=True)
class Tried:
    """A setting that was tried for a method."""

    fields: Mapping[str, Any]
    values: tuple[float, ...]
    """What was measured on the held-out parts of the training examples, one for each seed that has a result."""
    seeds: int
    """How many seeds it was tried with."""
    counted: int | None = None
    """The number of held-out rows, or of effective pairs of them, behind a value; None where it is not known."""

    @property
    def is_complete(self) -> bool:
        """Whether every seed has a result."""
        return len(self.values) == self.seeds


@dataclass(frozen=True)
class Choice:
    """The setting that was chosen for a method, and all that were tried."""

    variant: str
    student: str
    method: str
    setting: Mapping[str, Any]
    """The values of the grid's fields."""
    measure: str
    """What decided."""
    tried: tuple[Tried, ...]
    fields: Mapping[str, Any] | None
    """The setting that was chosen; None where none has a result of every seed."""


@dataclass(frozen=True)
class Planned:
    """The smallest difference that the study is planned to show, before it is run."""

    method: str
    """Empty where the spread is given for a measure, whatever is compared."""
    reference: str
    setting: Mapping[str, Any]
    measure: str
    sd: float
    """Standard deviation of paired differences over seeds, of the pilot or as it is given."""
    pilot_seeds: int | None
    """How many seeds gave it; None where it is given."""
    seeds: int
    """How many seeds are planned."""
    smallest: float
    """The smallest true difference that the paired test of so many seeds finds with a probability of 80 %."""
    at_most: float | None
    """The same for the standard deviation that the true one exceeds with a probability of 20 %; None where it is
    given."""
    over_examples: float | None
    """The smallest true difference that shows over the rows, or over the pairs of one run, of the pilot."""

    def concerns(self, method: str, reference: str, setting: Mapping[str, Any], measure: str) -> bool:
        """Whether it was calculated for a comparison."""
        same = (self.method, self.reference, dict(self.setting)) == (method, reference, dict(setting))
        return self.measure == measure and (same or not self.method)


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
    chosen: tuple[Choice, ...] = ()
    """The settings that were chosen for each method; empty where none are chosen, or not yet."""
    planned: tuple[Planned, ...] = ()
    """The smallest differences that were calculated beforehand; empty where none were, or not yet."""

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
        content |= {
            "chosen": [asdict(each) for each in self.chosen],
            "planned": [asdict(each) for each in self.planned],
        }
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
