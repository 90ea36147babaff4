"""The rows of a report with interchange accuracies, and with their differences, as frozen dataclasses."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from causalkd.verification.results.baselines import BaselineName

Measure = Literal["iia", "iia_effective"]

SiteKind = Literal["aligned", "touched", "other"]
"""A declared pair; sites that share a part with one in both models without being it; all other sites."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class InterchangeRow:
    """The interchange accuracy of one student with one baseline, at one teacher site and one student site."""

    __pydantic_config__ = _STRICT

    student: str
    baseline: BaselineName
    """`measured` is the measurement itself; a baseline shows what the accuracy would be without an alignment."""
    pair: str
    """The name of the declared pair, or `grid:NAME` for another comparison at the positions of pair NAME."""
    component: str
    unit: str
    """`pos` for whole positions, `h.pos` for heads."""
    head: int | None
    """The teacher's attention head, if the site is exactly one head."""
    teacher_layer: int
    """The layer of the teacher's first site."""
    student_layer: int
    """The layer of the student's first site."""
    aligned: bool
    """Whether it is a declared pair. The objectives in `students` say which of them was trained there."""
    reachable: bool
    """False if an intervention that changed activations changed no counted logit; such a row counts in no mean."""
    iia: float | None
    iia_low: float | None
    """The lower end of the 95 % interval over pairs, which takes into account that pairs share rows or questions."""
    iia_high: float | None
    iia_effective: float | None
    """The IIA on effective pairs; None if there are none."""
    effective_pairs: int
    pairs: int
    kl: float | None
    """Mean KL(teacher counterfactual || student counterfactual) in nats; None if a baseline has no distribution."""
    seed: int | None = None
    """The student's seed."""
    iia_effective_low: float | None = None
    iia_effective_high: float | None = None
    p_value: float | None = None
    """The two-sided p-value of the paired permutation test of the measurement against this row's baseline, on
    effective pairs; None on rows of the measurement, without effective pairs, and for an unreachable site."""
    q_value: float | None = None
    """The p-value adjusted for the number of sites, of all components, at which this student was compared with this
    baseline (Benjamini–Hochberg)."""
    specificity: float | None = None
    """Specificity: of the predictions that the teacher's intervention does not change, the share that the student's
    does not change either; None on rows of baselines, and if there are none. A student that never changes its
    prediction has 1."""
    student_head: int | None = None
    """The student's attention head, if heads are compared one by one."""
    touched: bool = False
    """Whether it is not a declared pair, but shares a part with one in both models; such a site is in no mean."""

    @property
    def kind(self) -> SiteKind:
        """The sites among which it counts."""
        return "aligned" if self.aligned else "touched" if self.touched else "other"


@dataclass(frozen=True)
class DifferenceRow:
    """The difference of one student's score from a reference on the same pairs at one site."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    reference: str
    """The student that it is compared with; the same name if it is compared with its own baseline."""
    baseline: BaselineName
    """`measured`, or the baseline of the reference."""
    pair: str
    teacher_layer: int
    student_layer: int
    measure: Measure
    pairs: int
    """The number of pairs that the measure counts: all of them, or the effective ones."""
    difference: float
    low: float
    """The lower end of the 95 % interval of the paired difference."""
    high: float
    p_value: float | None = None
    """The two-sided p-value of the paired permutation test."""
    q_value: float | None = None
    """The p-value adjusted for the number of sites, of all components, at which the same two were compared
    (Benjamini–Hochberg)."""
