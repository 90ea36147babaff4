"""What a run's attribution maps say, as frozen dataclasses: the attribution part of a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from causalkd.verification.results.teaching import TeachingResults

AttributionBaseline = Literal["measured", "random_map", "untrained_student"]
"""`measured` is the measurement; `random_map` puts scores that say nothing in the place of the student's map,
`untrained_student` the map of a student that was never trained."""
TEACHER = "teacher"
"""The `model` of the teacher's own rows."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Estimate:
    """A mean over texts, None where none counts, and its 95 % bootstrap interval, None where fewer than two do."""

    __pydantic_config__ = _STRICT

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """Texts that count: those for which it is defined."""


@dataclass(frozen=True)
class AgreementRow:
    """How far a student's maps agree with its teacher's at one depth, at the tokens that have a score in either."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    baseline: AttributionBaseline
    layer: int
    """Blocks of the student before the place; 0 is the output of the embedding."""
    teacher_hook_point: str
    """The teacher's place at the same share of its depth."""
    student_place: str
    cosine: Estimate
    spearman: Estimate
    overlap: Estimate
    """Share of the teacher's top tokens that are the student's too."""
    overlap_chance: float | None
    """What `overlap` is on average for a map that says nothing."""


@dataclass(frozen=True)
class FaithfulnessRow:
    """Whether one model's map at its embedding's output tells which tokens its prediction rests on."""

    __pydantic_config__ = _STRICT

    model: str
    """A student's name, or `teacher`."""
    seed: int | None
    """The student's; None for the teacher."""
    baseline: AttributionBaseline
    """`measured` or `untrained_student`: a random map is beside each, as `random`."""
    comprehensiveness: Estimate
    """AOPC in units of probability when the most important tokens go first."""
    sufficiency: Estimate
    """The same when the least important go first."""
    normalised_comprehensiveness: Estimate
    """NAOPC: 1 is the best order of a text's tokens that was found, 0 the worst."""
    normalised_sufficiency: Estimate
    """Low is good."""
    normalised_random: Estimate
    """What either would be for random orders."""


@dataclass(frozen=True)
class GapRow:
    """How well the maps of one model at one place add up to what they explain (completeness)."""

    __pydantic_config__ = _STRICT

    model: str
    seed: int | None
    hook_point: str
    gap: float
    """Mean over views and texts of |Σ scores − (F(text) − F(baseline))|, in units of the target."""
    explained: float
    """Mean of |F(text) − F(baseline)|, to compare the gap with."""
    attention: str
    """transformers' attention implementation that the maps were computed with."""


@dataclass(frozen=True)
class MapDistanceRow:
    """AD-KD's own term of one student over held-out texts (`causalkd.objectives.ADKD`)."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    baseline: Literal["measured", "untrained_student"]
    taught: str
    """Names of the students whose training minimised this very term; others are measured in it too."""
    distance: float
    """Of scaled maps, a mean over positions and a sum over views; 0 where the student's are proportional."""
    texts: int


@dataclass(frozen=True)
class AttributionSettings:
    """What the maps were made of and with."""

    __pydantic_config__ = _STRICT

    texts: int
    views: str
    """What is explained, in words."""
    target: str
    steps: int
    baseline: str
    reduction: str
    top: float
    """Share of a text's tokens that are its top tokens."""
    portions: int
    """Into how many portions tokens are put to be taken away."""
    random_orders: int
    seed: int


@dataclass(frozen=True)
class AttributionResults:
    """Everything a run's attribution maps were measured for."""

    __pydantic_config__ = _STRICT

    settings: AttributionSettings
    examples: tuple[int, ...]
    """Numbers of the held-out examples, in the order of the maps."""
    agreement: tuple[AgreementRow, ...]
    faithfulness: tuple[FaithfulnessRow, ...]
    completeness: tuple[GapRow, ...]
    teaching: Annotated[TeachingResults | None, Field(exclude_if=lambda found: found is None)] = None
    """Of causal LMs, the teaching modes of tokens."""
    map_distances: Annotated[tuple[MapDistanceRow, ...], Field(exclude_if=lambda found: not found)] = ()
    """Of runs with a student that learned from maps."""

    def to_json(self) -> str:
        """The results as JSON text, keys in the order of the fields."""
        return json.dumps(_RESULTS.dump_python(self, mode="json"), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "AttributionResults | None":
        """The results in a file; None where there is no file.

        Raises:
            ValueError: The file holds something else.
        """
        if not path.is_file():
            return None
        try:
            return _RESULTS.validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            raise ValueError(
                f"{path} holds no attribution results of this version; write them anew with `causalkd attribute`"
            ) from None


_RESULTS = TypeAdapter(AttributionResults)
