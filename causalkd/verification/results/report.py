"""The verification report: all findings of a verification, as frozen dataclasses and as JSON with the same keys."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from causalkd.alignment.spec import Alignment
from causalkd.files.refusals import refused
from causalkd.verification.results.attribution import AttributionResults
from causalkd.verification.results.finite import finite
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow
from causalkd.verification.results.measured_on import MeasuredOn
from causalkd.verification.results.rows import (
    GroundTruthRow,
    Mismatch,
    OffDistributionRow,
    TaskDifferenceRow,
    TaskScoreRow,
)
from causalkd.verification.results.site_table import site_table

SCHEMA_VERSION = 4
"""The version of the keys of report.json; reports without the key are of version 1."""

_STRICT = ConfigDict(extra="forbid", strict=True)
_Metrics = Annotated[Mapping[str, float | None], Field(exclude_if=lambda found: not found)]
_MEASURED = (
    "teacher", "students", "interchange", "differences", "ground_truth", "mismatches", "off_distribution", "heads",
    "task_scores", "task_differences",
)  # fmt: skip


@dataclass(frozen=True)
class TeacherResult:
    """The teacher and its metrics of the task."""

    __pydantic_config__ = _STRICT

    name: str
    task: str
    """The kind of the task, such as `classification`."""
    metric: str
    """The metric of every `task_metric` of the report, such as `accuracy`."""
    task_metric: float | None
    metrics: _Metrics = field(default_factory=dict)
    """Further metrics of the task by name, if several are usual."""
    chosen_by: Annotated[str | None, Field(exclude_if=lambda found: found is None)] = None
    """The metric by which its checkpoint was chosen on the same held-out rows, which makes the scores too high; None if
    the last weights were kept."""


@dataclass(frozen=True)
class StudentResult:
    """One trained student; students with the same `name` differ only in their seed."""

    __pydantic_config__ = _STRICT

    name: str
    objectives: Mapping[str, float]
    """The weight of each objective it was trained with."""
    seed: int
    task_metric: float | None
    agreement: float | None
    """The share of evaluation predictions that equal the teacher's, without any intervention."""
    block_forwards: float | int | None = None
    """The forwards of one block over one row in its training, teacher and student together, without the backward passes
    of attribution maps and without writing sequences."""
    seconds: float | None = None
    """The wall-clock seconds of its training."""
    steps: int | None = None
    """The optimizer steps of its training."""
    metrics: _Metrics = field(default_factory=dict)
    """Further metrics of the task by name, if several are usual."""
    chosen_by: Annotated[str | None, Field(exclude_if=lambda found: found is None)] = None
    """The same as for the teacher."""
    generator: Annotated[str | None, Field(exclude_if=lambda found: found is None)] = None
    """The model that wrote sequences for its training (`sequences.generator`); None if there is none, or if unknown."""


@dataclass(frozen=True)
class Environment:
    """The software and settings that the numbers were computed with."""

    __pydantic_config__ = _STRICT

    versions: Mapping[str, str]
    attention: str
    """The transformers attention implementation."""
    dtype: str
    seed: int
    """The seed of the held-out pairs and their positions."""
    threads: int
    device: str
    tolerance: Annotated[float | None, Field(exclude_if=lambda found: found is None)] = None
    """The largest difference of two predicted numbers that count as equal, for regression; None for other
    predictions."""
    pair_selection: Annotated[str | None, Field(exclude_if=lambda found: found is None)] = None
    """The selection of the held-out pairs, a variable after a colon; None if it is not known."""


@dataclass(frozen=True)
class VerificationReport:
    """The results of a verification: every student's accuracies at every site, with their baselines and certainty."""

    __pydantic_config__ = _STRICT

    teacher: TeacherResult
    students: tuple[StudentResult, ...]
    alignment: Alignment
    interchange: tuple[InterchangeRow, ...]
    environment: Environment
    differences: tuple[DifferenceRow, ...] = ()
    attribution: Annotated[AttributionResults | None, Field(exclude_if=lambda found: found is None)] = None
    """The measurements of attribution maps, if `causalkd attribute` has made them."""
    ground_truth: tuple[GroundTruthRow, ...] = ()
    """The agreement with the task's causal model, if that is known."""
    mismatches: tuple[Mismatch, ...] = ()
    """The pairs of largest divergence on which, for classifiers, the intervention changes only the teacher's
    prediction."""
    off_distribution: tuple[OffDistributionRow, ...] = ()
    """How far the states after interventions are from clean ones, for every model at every declared pair."""
    heads: tuple[InterchangeRow, ...] = ()
    """Every head against every head of the declared pairs' layers, if the recipe asks for heads; in no summary."""
    task_scores: Annotated[tuple[TaskScoreRow, ...], Field(exclude_if=lambda found: not found)] = ()
    """The task metric of every model with its interval, if it is defined."""
    task_differences: Annotated[tuple[TaskDifferenceRow, ...], Field(exclude_if=lambda found: not found)] = ()
    """The paired differences of the task metric between students."""
    not_finite: Annotated[tuple[str, ...], Field(exclude_if=lambda found: not found)] = ()
    """Measurements that gave NaN or an infinity, each with its model: the value is null, or its row is left out."""
    measured_on: Annotated[MeasuredOn | None, Field(exclude_if=lambda found: found is None)] = None
    """The held-out rows, and what is not as the run was made; None where it is not known."""

    def __post_init__(self) -> None:
        names: list[str] = []
        for name in (*_MEASURED, "attribution"):
            object.__setattr__(self, name, finite(getattr(self, name), names))
        object.__setattr__(self, "not_finite", tuple(dict.fromkeys((*self.not_finite, *names))))
        known = set(self.names)
        compared = () if self.attribution is None else self.attribution.agreement
        rows = (*self.interchange, *self.heads, *self.differences, *compared)
        if unknown := sorted({row.student for row in rows} - known):
            raise ValueError(f"rows name the students {unknown}, but the report holds {sorted(known)}; use those names")

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every student once, whatever its seeds, in the order of the students."""
        return tuple(dict.fromkeys(student.name for student in self.students))

    def _repr_html_(self) -> str:
        return site_table(self.alignment, self.interchange)

    def to_json(self) -> str:
        """The report as JSON text, keys in the order of the fields."""
        content = {"schema_version": SCHEMA_VERSION, **_REPORT.dump_python(self, mode="json")}
        return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "the report") -> "VerificationReport":
        """Read the report in a JSON text.

        Raises:
            ValueError: The text is not JSON, or keys are missing, unknown or of a wrong type; the message lists them
                all.
        """
        try:
            return _REPORT.validate_json(_of_this_version(text, origin))
        except ValidationError as error:
            faults = "\n".join(f"- {_fault(found['loc'], found['msg'])}" for found in error.errors())
            raise ValueError(
                f"{origin} is not a verification report of this version:\n{faults}\n"
                "Write it again with `causalkd verify`."
            ) from None

    def write(self, path: str | Path) -> None:
        """Write the JSON in one step: the file is the old report or the complete new one, never a part."""
        path = Path(path)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.to_json())
            os.chmod(draft, 0o644)  # mkstemp makes the file private
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise

    @classmethod
    def read(cls, path: str | Path) -> "VerificationReport":
        """Read the report in a file; raises ValueError if there is no file or no report in it."""
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no report at {path}; `causalkd verify RUN` writes one into the run's folder")
        with refused(f"{path} is not text", "measure the run again with `causalkd verify RUN`"):
            text = path.read_text(encoding="utf-8")
        return cls.from_json(text, str(path))


_REPORT = TypeAdapter(VerificationReport)


def _of_this_version(text: str, origin: str) -> str:
    """The text without its `schema_version`, which must be this version; pydantic refuses a text without an object."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        return text
    if not isinstance(content, dict):
        return text
    version = content.pop("schema_version", 1)
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{origin} has schema_version {version!r}, and this causalkd reads version {SCHEMA_VERSION}; measure the "
            "run again with `causalkd verify`, or read the report with the causalkd that wrote it"
        )
    return json.dumps(content)


def _fault(location: tuple[int | str, ...], message: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{path or 'the whole'}: {message}"
