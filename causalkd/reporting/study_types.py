"""The table of a study as data: rows, differences, chosen settings, and planned differences."""

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
    """The seeds that are finished."""
    failed: tuple[int, ...]
    """The seeds that failed."""
    values: Mapping[str, tuple[float | None, ...]]
    """One value of each measure for every finished seed."""
    costs: Mapping[str, tuple[float | None, ...]]
    """One value of each cost of the training for every finished seed."""
    heldout_rows: int | None = None
    """The fewest held-out rows of a seed that the metric of the task was measured on; None if it is not known."""

    def mean(self, measure: str) -> float | None:
        """The mean over the finished seeds; None unless each has a number."""
        return mean_over_seeds(self.values.get(measure, ()))

    def sd(self, measure: str) -> float | None:
        """The standard deviation over the finished seeds; None unless each has a number, and for fewer than two."""
        return sd_over_seeds(self.values.get(measure, ()))


@dataclass(frozen=True)
class Difference:
    """The difference of one method from the reference in one setting, paired over their shared seeds."""

    method: str
    reference: str
    setting: Mapping[str, Any]
    measure: str
    over_seeds: PairedDifference
    q_value: float | None
    """The p-value adjusted for the number of differences of this measure in the study (Benjamini–Hochberg)."""
    seeds_beyond_chance: int | None
    """The number of seeds in which the paired test over *pairs of examples* finds a difference of this sign beyond
    chance at every declared pair. It exists for effective IIA at the declared pairs, of students of one run; None if
    no pairs are shared."""

    p_over_rows: float | None = None
    """The p-value of a paired t-test over the rows of another task, each row's score averaged over the seeds; None if
    the measure is not a mean over rows."""
    mean_over_rows: float | None = None
    """The mean difference of that test; for a perplexity, that of its logarithm, which is a mean over rows."""
    visible_over_examples: float | None = None
    """The smallest true difference that shows over these rows, or over the pairs of examples of one run."""
    planned: float | None = None
    """The smallest difference that the study was planned to show; None if it was not calculated beforehand."""
    lacking: int = 0
    """The number of seeds without a number of one of the two. Such a seed has not finished, and a test that is repeated
    after each seed finds too much; or its number is not defined, as after a diverged training, and the other seeds
    alone would be biased."""

    @property
    def is_opposite_over_rows(self) -> bool:
        """Whether the test over rows found the opposite sign, which is evidence against the difference over seeds."""
        return self.mean_over_rows is not None and self.mean_over_rows * self.over_seeds.mean <= 0

    @property
    def found(self) -> bool:
        """Whether it may be called a finding: every seed has a number, the difference is beyond chance, no smaller than
        what the seeds can show by their own spread and by the planned one, and of the same sign over rows.
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
    """The measure on the held-out parts of the training examples, one for each seed that has a result."""
    seeds: int
    """The number of seeds that it was tried with."""
    counted: int | None = None
    """The number of held-out rows, or of effective pairs of them, behind a value; None if it is not known."""

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
    """The measure that decided."""
    tried: tuple[Tried, ...]
    fields: Mapping[str, Any] | None
    """The setting that was chosen; None if none has a result of every seed."""


@dataclass(frozen=True)
class Planned:
    """The smallest difference that the study is planned to show, before it is run."""

    method: str
    """Empty if the spread is given for a measure, whatever is compared."""
    reference: str
    setting: Mapping[str, Any]
    measure: str
    sd: float
    """Standard deviation of paired differences over seeds, of the pilot or as given in the study."""
    pilot_seeds: int | None
    """The number of seeds that it was estimated from; None if it is given."""
    seeds: int
    """The number of planned seeds."""
    smallest: float
    """The smallest true difference that the paired test over these seeds finds with a probability of 80 %."""
    at_most: float | None
    """The same for the standard deviation that the true one exceeds with a probability of 20 %; None if the deviation
    is given."""
    over_examples: float | None
    """The smallest true difference that shows over the rows, or over the pairs of one run, of the pilot."""

    def concerns(self, method: str, reference: str, setting: Mapping[str, Any], measure: str) -> bool:
        """Whether it was calculated for a comparison."""
        same = (self.method, self.reference, dict(self.setting)) == (method, reference, dict(setting))
        return self.measure == measure and (same or not self.method)


@dataclass(frozen=True)
class StudyTable:
    """All results of a study."""

    name: str
    budget: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    failures: Mapping[str, str]
    """The reason why a cell has no result, by its name."""
    seconds: tuple[tuple[str, str, float | None], ...]
    """Cell, student, and the seconds of its training on the machine that ran it."""
    chosen: tuple[Choice, ...] = ()
    """The settings that were chosen for each method; empty where none are chosen, or not yet."""
    planned: tuple[Planned, ...] = ()
    """The smallest differences that were calculated beforehand; empty where none were, or not yet."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures, in order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))

    def to_json(self) -> str:
        """The table as JSON, without the seconds, which depend on the machine."""
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
