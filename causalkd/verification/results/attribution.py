"""The measurements of a run's attribution maps as frozen dataclasses: the attribution section of a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from causalkd.verification.results.teaching import TeachingResults

AttributionBaseline = Literal["measured", "random_map", "untrained_student"]
"""`measured` is the measurement; `random_map` replaces the student's map by random scores, `untrained_student` by
the map of an untrained student."""
TEACHER = "teacher"
"""The `model` value of the teacher's own rows."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Estimate:
    """A mean over texts, None if no text counts, and its 95 % bootstrap interval, None for fewer than two texts."""

    __pydantic_config__ = _STRICT

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """The number of texts for which the value is defined."""


@dataclass(frozen=True)
class AgreementRow:
    """The agreement of a student's maps with its teacher's at one depth, on tokens that have a score in either map."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    baseline: AttributionBaseline
    layer: int
    """The number of the student's blocks before the hook point; 0 is the embedding output."""
    teacher_hook_point: str
    """The teacher's hook point at the same relative depth."""
    student_hook_point: str
    cosine: Estimate
    spearman: Estimate
    overlap: Estimate
    """The share of the teacher's top tokens that are also the student's."""
    overlap_chance: float | None
    """The mean `overlap` of a random map."""


@dataclass(frozen=True)
class FaithfulnessRow:
    """Whether one model's map at its embedding output shows which tokens its prediction depends on."""

    __pydantic_config__ = _STRICT

    model: str
    """A student's name, or `teacher`."""
    seed: int | None
    """The student's seed; None for the teacher."""
    baseline: AttributionBaseline
    """`measured` or `untrained_student`; a random map is reported in every row, as `random`."""
    comprehensiveness: Estimate
    """AOPC in units of probability when the most important tokens are removed first."""
    sufficiency: Estimate
    """The same when the least important tokens are removed first."""
    normalised_comprehensiveness: Estimate
    """NAOPC: 1 is the best order of a text's tokens that was found, 0 the worst."""
    normalised_sufficiency: Estimate
    """NAOPC with the least important tokens first; low is good."""
    normalised_random: Estimate
    """The same for random orders."""


@dataclass(frozen=True)
class GapRow:
    """The gap between the sums of one model's maps at one hook point and the explained change (completeness)."""

    __pydantic_config__ = _STRICT

    model: str
    seed: int | None
    hook_point: str
    gap: float
    """The mean over views and texts of |Σ scores − (F(text) − F(baseline))|, in units of the target."""
    explained: float
    """The mean of |F(text) − F(baseline)|, to compare the gap with."""
    attention: str
    """The transformers attention implementation with which the maps were computed."""


@dataclass(frozen=True)
class MapDistanceRow:
    """AD-KD's own term of one student over held-out texts (`causalkd.ADKD`)."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    baseline: Literal["measured", "untrained_student"]
    taught: str
    """Names of the students that were trained on this term; the others are measured on it too."""
    distance: float
    """The term on scaled maps: a mean over positions and a sum over views; 0 if the maps are proportional."""
    texts: int


@dataclass(frozen=True)
class AttributionSettings:
    """The settings of the maps."""

    __pydantic_config__ = _STRICT

    texts: int
    views: str
    """The explained output, in words."""
    target: str
    steps: int
    baseline: str
    reduction: str
    top: float
    """The share of a text's tokens that are its top tokens."""
    portions: int
    """The number of portions in which tokens are removed."""
    random_orders: int
    seed: int


@dataclass(frozen=True)
class AttributionResults:
    """All measurements of a run's attribution maps."""

    __pydantic_config__ = _STRICT

    settings: AttributionSettings
    examples: tuple[int, ...]
    """The numbers of the held-out examples, in the order of the maps."""
    agreement: tuple[AgreementRow, ...]
    faithfulness: tuple[FaithfulnessRow, ...]
    completeness: tuple[GapRow, ...]
    teaching: Annotated[TeachingResults | None, Field(exclude_if=lambda found: found is None)] = None
    """The teaching modes of tokens; only for causal LMs."""
    map_distances: Annotated[tuple[MapDistanceRow, ...], Field(exclude_if=lambda found: not found)] = ()
    """The distances of AD-KD's term; only for runs with a student that was trained on it."""

    def to_json(self) -> str:
        """The results as JSON text, keys in the order of the fields."""
        return json.dumps(_RESULTS.dump_python(self, mode="json"), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "AttributionResults | None":
        """Read the results in a file; None if there is no file.

        Raises:
            ValueError: The file does not hold attribution results.
        """
        if not path.is_file():
            return None
        try:
            return _RESULTS.validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            raise ValueError(
                f"{path} holds no attribution results of this version; make them again with `causalkd attribute`"
            ) from None


_RESULTS = TypeAdapter(AttributionResults)
