"""The rows of a report other than interchange accuracies, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", strict=True)

SiteKind = Literal["aligned", "touched", "other"]
"""A declared pair; sites that share a part with one in both models without being it; all other sites."""


@dataclass(frozen=True)
class GroundTruthRow:
    """The evidence that one hook point of one model carries one variable of the planted task's causal model."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's seed."""
    variable: str
    component: str
    layer: int
    pair: str
    """The site pair at whose positions the intervention on the layer is made."""
    iia: float
    """The share of the model's counterfactual predictions that equal the causal model's."""
    iia_effective: float | None
    """The same share on pairs on which the causal model's prediction changes."""
    iia_effective_low: float | None
    iia_effective_high: float | None
    effective_pairs: int
    """The number of pairs on which the causal model's prediction changes."""
    pairs: int
    baselines: Mapping[str, float | None]
    """The effective accuracy by baseline: no intervention, another row's source, and the best constant guess."""
    p_value: float | None
    """The two-sided p-value of the paired permutation test against the best of the baselines."""
    q_value: float | None = None
    """The p-value adjusted for the number of variables and hook points of this model (Benjamini–Hochberg)."""


@dataclass(frozen=True)
class TaskScoreRow:
    """The task metric of one model without any intervention, with its interval."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's seed."""
    value: float
    low: float
    """Lower end of the 95 % interval over held-out rows."""
    high: float
    rows: Annotated[int | None, Field(exclude_if=lambda found: found is None)] = None
    """The number of held-out rows; None in reports of earlier versions."""


@dataclass(frozen=True)
class TaskDifferenceRow:
    """The difference of one student's task metric from another's on the same held-out rows."""

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
    """Two-sided, of a paired test that permutes the two students in each row."""
    rows: int


@dataclass(frozen=True)
class OffDistributionRow:
    """The distances of the states after an intervention from those that the model has without one."""

    __pydantic_config__ = _STRICT

    model: str
    """`teacher`, or the student's name."""
    seed: int | None
    """The student's seed."""
    pair: str
    """The name of the site pair."""
    clean: float
    """The median distance of a clean state from the nearest other, in standard deviations of a coordinate."""
    intervened: float
    """The median distance of a counterfactual state from the nearest clean one, without its own base and source."""
    beyond: float
    """The share of counterfactual states farther away than 95 % of the clean ones; 0.05 if there is no difference."""
    pairs: int
    """The number of pairs that were compared, at most 10,000."""


@dataclass(frozen=True)
class Mismatch:
    """One pair on which the intervention changes the teacher's prediction but not the student's."""

    __pydantic_config__ = _STRICT

    name: str
    """The student's name."""
    seed: int
    """The student's seed."""
    pair: str
    """The name of the site pair."""
    base: str
    source: str
    intervened: tuple[tuple[str, str], ...]
    """The tokens at the intervened positions, of base and of source."""
    teacher: str
    """The teacher's prediction on base."""
    teacher_counterfactual: str
    student: str
    """The student's prediction on base."""
    student_counterfactual: str
    teacher_probability: float
    """The teacher's probability of its counterfactual prediction."""
    student_probability: float
    """The student's probability of the same prediction."""
    kl: float
    """KL(teacher counterfactual || student counterfactual) in nats."""
