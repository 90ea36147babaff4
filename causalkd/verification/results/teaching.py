"""Teaching modes as frozen dataclasses: of the tokens of some texts, and what a run's report keeps of them.

The modes are ATKD's (Zhong et al. 2024, arXiv 2402.11890): an easy token is taught its diversity only, a hard one all.
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
    """The labelled tokens of some texts, in the order of the texts, and what one teacher says of each."""

    text: Int[np.ndarray, "token"]
    """Number of the text that each token is in."""
    position: Int[np.ndarray, "token"]
    """Where in that text, without padding, the token itself is; a causal LM predicts it one position earlier."""
    uncertainty: Float[np.ndarray, "token"]
    """The probability that the teacher puts off the token."""
    hard: Bool[np.ndarray, "token"]
    """As uncertain as the quantile of all these tokens, or more."""


@dataclass(frozen=True, eq=False)
class TeachingModes(TokenModes):
    """The same, and a student's distance from the teacher at each token, in nats at temperature 1."""

    target: Float[np.ndarray, "token"]
    """TKD."""
    diversity: Float[np.ndarray, "token"]
    """DKD, without the factor UNC."""

    @property
    def suppressed(self) -> Float[np.ndarray, "token"]:
        """UNC · DKD: what is left of the diversity-oriented term in forward KL."""
        return self.uncertainty * self.diversity

    @property
    def target_share(self) -> float:
        """The target-oriented term's share of forward KL over all tokens; NaN where the models agree everywhere."""
        total = self.target.sum() + self.suppressed.sum()
        return float(self.target.sum() / total) if total else float("nan")


@dataclass(frozen=True)
class ModeAccuracy:
    """Interchange accuracy at one declared pair over the tokens of one teaching mode."""

    __pydantic_config__ = _STRICT

    pair: str
    mode: Mode
    iia: float | None
    """None where there is no such token."""
    iia_effective: float | None
    """Over tokens whose prediction the exchange changed in the teacher; None where there are none."""
    effective: int
    tokens: int


@dataclass(frozen=True)
class ModeText:
    """One text, and what the teacher says of its labelled tokens."""

    __pydantic_config__ = _STRICT

    tokens: tuple[str, ...]
    """All of them."""
    position: tuple[int, ...]
    """Of each labelled token among all of them."""
    uncertainty: tuple[float, ...]
    """Of each labelled token: the probability that the teacher puts off it."""
    hard: tuple[bool, ...]
    """Of each labelled token: as uncertain as the quantile of those of all the texts, or more."""


@dataclass(frozen=True)
class StudentModes:
    """One student's distance from its teacher over all labelled tokens, and its interchange accuracy by mode."""

    __pydantic_config__ = _STRICT

    student: str
    seed: int
    target: float
    """Mean TKD in nats a token."""
    diversity: float
    """Mean DKD, without the factor UNC."""
    suppressed: float
    """Mean UNC · DKD, which with TKD adds up to forward KL."""
    accuracy: tuple[ModeAccuracy, ...]
    """Of each declared pair over easy and over hard tokens of held-out pairs."""

    @classmethod
    def of(cls, student: str, seed: int, modes: TeachingModes, accuracy: Sequence[ModeAccuracy]) -> "StudentModes":
        """Means over the tokens."""
        target, diversity, suppressed = (float(e.mean()) for e in (modes.target, modes.diversity, modes.suppressed))
        return cls(student, seed, target, diversity, suppressed, tuple(accuracy))

    @property
    def target_share(self) -> float | None:
        """TKD's share of forward KL; None where the models agree everywhere."""
        whole = self.target + self.suppressed
        return self.target / whole if whole else None


@dataclass(frozen=True)
class TeachingResults:
    """Which tokens ATKD teaches in which mode, what each student still lacks, and where its IIA lies."""

    __pydantic_config__ = _STRICT

    hard_fraction: float
    """The share of hard tokens."""
    texts: tuple[ModeText, ...]
    """Training texts, whose labels are those that the students are taught."""
    students: tuple[StudentModes, ...]
    logged: tuple[str, ...] = ()
    """Students whose log has forward KL as `response_kd` and TKD as `dkd`, and so its share along training."""

    def __post_init__(self) -> None:
        if not self.students or not any(text.position for text in self.texts):
            raise ValueError(
                f"teaching modes are of students and labelled tokens; got {len(self.students)} students and "
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
    """The modes text by text, beside all tokens of each."""
    found = []
    for number, words in enumerate(tokens):
        here = modes.text == number
        values = (each[here].tolist() for each in (modes.position, modes.uncertainty, modes.hard))
        found.append(ModeText(tuple(words), *map(tuple, values)))
    return tuple(found)
