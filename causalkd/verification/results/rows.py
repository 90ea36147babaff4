"""What a report holds beside interchange accuracies, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ConfigDict

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class GroundTruthRow:
    """How surely one place of one model carries one variable of the planted task's causal model."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's."""
    variable: str
    component: str
    layer: int
    pair: str
    """Name of the site pair at whose positions the layer is exchanged."""
    iia: float
    """Share of the model's counterfactual predictions that are the causal model's answers."""
    iia_effective: float | None
    """The same of answers that the causal model changes."""
    iia_effective_low: float | None
    iia_effective_high: float | None
    effective_pairs: int
    """Pairs with an answer that the causal model changes."""
    pairs: int
    baselines: Mapping[str, float | None]
    """Effective accuracy of no exchange, of another row's source and of the best constant guess."""
    p_value: float | None
    """Two-sided, of the paired permutation test against the best of the controls."""
    q_value: float | None = None
    """Adjusted for the number of variables and places of this model (Benjamini–Hochberg)."""


@dataclass(frozen=True)
class TaskScoreRow:
    """The task metric of one model without any intervention, and how certain it is."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's."""
    value: float
    low: float
    """Lower end of the 95 % interval over held-out rows."""
    high: float


@dataclass(frozen=True)
class TaskDifferenceRow:
    """How much higher the task metric of one student is than that of another, on the same held-out rows."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    reference: str
    """The student it is compared with, of the same seed."""
    difference: float
    low: float
    """Lower end of the 95 % interval of the paired difference."""
    high: float
    p_value: float
    """Two-sided, of a paired test in which, row by row, the two could change places."""
    rows: int


@dataclass(frozen=True)
class DistanceRow:
    """How far the states that an exchange leads to are from those that the model has without one."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's."""
    pair: str
    """Name of the site pair."""
    clean: float
    """Median distance of a clean state from the nearest other, in standard deviations of a coordinate."""
    intervened: float
    """The same of an exchanged state from the nearest clean one, its own base and source left out."""
    beyond: float
    """Share of exchanged states farther away than 95 % of the clean ones are; 0.05 where they are no different."""
    pairs: int


@dataclass(frozen=True)
class Departure:
    """One pair on which the teacher's prediction follows the source and the student's does not."""

    __pydantic_config__ = _STRICT

    name: str
    """The student's."""
    seed: int
    pair: str
    """Name of the site pair."""
    base: str
    source: str
    intervened: tuple[tuple[str, str], ...]
    """The tokens at the exchanged positions, of base and of source."""
    teacher: str
    """The teacher's plain prediction."""
    teacher_counterfactual: str
    student: str
    """The student's plain prediction."""
    student_counterfactual: str
    teacher_probability: float
    """Of the teacher's counterfactual prediction."""
    student_probability: float
    """The student's, of the same."""
    kl: float
    """KL(teacher counterfactual || student counterfactual) in nats."""
