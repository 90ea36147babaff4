"""Teaching modes as frozen dataclasses: the modes of the tokens of some texts, and the section of a run's report.

The modes are ATKD's (Zhong et al. 2024, arXiv 2402.11890): an easy token has the diversity-oriented term only, a hard
one both terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import ConfigDict

Mode = Literal["easy", "hard"]

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, eq=False)
class TokenModes:
    """The labelled tokens of some texts, in the order of the texts, and the teacher's uncertainty about each."""

    text: Int[np.ndarray, "token"]
    """The number of the text that each token is in."""
    position: Int[np.ndarray, "token"]
    """The position of the token in that text, without padding; a causal LM predicts it one position earlier."""
    uncertainty: Float[np.ndarray, "token"]
    """The uncertainty: 1 − the teacher's probability of the token."""
    hard: Bool[np.ndarray, "token"]
    """Whether the token is as uncertain as the quantile of all these tokens, or more."""


@dataclass(frozen=True, eq=False)
class TeachingModes(TokenModes):
    """The modes of tokens, with a student's distance from the teacher at each, in nats at temperature 1."""

    target: Float[np.ndarray, "token"]
    """The target-oriented term, TKD."""
    diversity: Float[np.ndarray, "token"]
    """The diversity-oriented term, DKD, without the factor UNC."""

    @property
    def suppressed(self) -> Float[np.ndarray, "token"]:
        """UNC · DKD: the diversity-oriented part of forward KL."""
        return self.uncertainty * self.diversity

    @property
    def target_share(self) -> float:
        """The target-oriented term's share of forward KL over all tokens; NaN if the models agree everywhere."""
        total = self.target.sum() + self.suppressed.sum()
        return float(self.target.sum() / total) if total else float("nan")


@dataclass(frozen=True)
class ModeAccuracy:
    """The interchange accuracy at one declared pair over the tokens of one teaching mode."""

    __pydantic_config__ = _STRICT

    pair: str
    mode: Mode
    iia: float | None
    """The accuracy; None if there is no such token."""
    iia_effective: float | None
    """The accuracy over tokens whose prediction the teacher's intervention changed; None if there are none."""
    effective: int
    tokens: int


@dataclass(frozen=True)
class ModeText:
    """One text, and the teacher's uncertainty about its labelled tokens."""

    __pydantic_config__ = _STRICT

    tokens: tuple[str, ...]
    """All tokens of the text."""
    position: tuple[int, ...]
    """The index of each labelled token among all tokens."""
    uncertainty: tuple[float, ...]
    """The uncertainty of each labelled token: 1 − the teacher's probability of it."""
    hard: tuple[bool, ...]
    """Whether each labelled token is as uncertain as the quantile of those of all the texts, or more."""


@dataclass(frozen=True)
class StudentModes:
    """One student's distance from its teacher over all labelled tokens, and its interchange accuracy by mode."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    target: float
    """The mean TKD per token in nats."""
    diversity: float
    """The mean DKD, without the factor UNC."""
    suppressed: float
    """The mean UNC · DKD; with TKD it adds up to forward KL."""
    accuracy: tuple[ModeAccuracy, ...]
    """The accuracies at each declared pair over easy and over hard tokens of held-out pairs."""

    @classmethod
    def of(cls, student: str, seed: int, modes: TeachingModes, accuracy: Sequence[ModeAccuracy]) -> "StudentModes":
        """The means over the tokens."""
        target, diversity, suppressed = (float(e.mean()) for e in (modes.target, modes.diversity, modes.suppressed))
        return cls(student, seed, target, diversity, suppressed, tuple(accuracy))

    @property
    def target_share(self) -> float | None:
        """TKD's share of forward KL; None if the models agree everywhere."""
        whole = self.target + self.suppressed
        return self.target / whole if whole else None


@dataclass(frozen=True)
class TeachingResults:
    """The teaching mode of each token, the remaining distance of each student, and the IIA in each mode."""

    __pydantic_config__ = _STRICT

    hard_fraction: float
    """The share of hard tokens."""
    texts: tuple[ModeText, ...]
    """Training texts, whose labels are those that the students are trained on."""
    students: tuple[StudentModes, ...]
    logged: tuple[str, ...] = ()
    """The students whose log has forward KL as `response_kd` and TKD as `dkd`, and therefore TKD's share in
    training."""

    def __post_init__(self) -> None:
        if not self.students or not any(text.position for text in self.texts):
            raise ValueError(
                f"teaching modes need students and labelled tokens; got {len(self.students)} students and "
                f"{len(self.texts)} texts, none of them labelled. Give some"
            )

    @property
    def tokens(self) -> TokenModes:
        """The labelled tokens of all texts."""
        of_text = np.repeat(np.arange(len(self.texts)), [len(text.position) for text in self.texts])
        position, unc, hard = (
            np.concatenate([np.array(values) for values in each])
            for each in zip(*((t.position, t.uncertainty, t.hard) for t in self.texts if t.position), strict=True)
        )
        return TokenModes(of_text, position, unc, hard)


def texts_of(modes: TokenModes, tokens: Sequence[Sequence[str]]) -> tuple[ModeText, ...]:
    """The modes text by text, with all tokens of each text."""
    found = []
    for number, words in enumerate(tokens):
        here = modes.text == number
        values = (each[here].tolist() for each in (modes.position, modes.uncertainty, modes.hard))
        found.append(ModeText(tuple(words), *map(tuple, values)))
    return tuple(found)
