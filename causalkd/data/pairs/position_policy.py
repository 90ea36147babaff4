"""The declaration of an intervention's positions: pure data, checked when it is read."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PolicyName = Literal["all", "consecutive", "scattered", "masked", "first", "last", "segments", "explicit"]


PairChoice = Literal["uniform", "same_length", "same_segments", "other_label", "both_right", "other_variable"]
"""The selections of pairs of examples; `causalkd.data.pairs.selection` defines each."""


class PositionPolicy(BaseModel):
    """How the positions of an intervention are chosen in each row; a row has `len` real tokens, special ones
    included.

    `fraction` and `maximum` give the count floor(fraction * min(len of base, len of source)), at most `maximum`; it may
    be 0, and then there is no intervention in that row.

    For a student with another tokenizer, positions are drawn on the teacher's tokens and carried to the student's by
    characters: see `causalkd.data.pairs.carry_positions`. A piece of text that is whole tokens of both models, mostly a
    word, is intervened on in both if each model has as many tokens of it as of the source's piece; all other drawn
    positions are left out in both, including special tokens that one model does not have.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    policy: PolicyName
    """`all`: every token (the first min(len) where lengths differ). `consecutive`: one span, uniformly placed.
    `scattered`: distinct tokens, uniformly drawn. `masked`: the masked-LM tokens of base, scattered tokens of source.
    `first`, `last`: the first or last `maximum` tokens (1 unless given). `segments`: the named segments, one after the
    other (the first min(count) where counts differ; a drawn span of them if `fraction` or `maximum` is given).
    `explicit`: the token numbers in `base` and `source`."""
    fraction: float | None = Field(None, gt=0, le=1)
    """The share of the shorter row's tokens, in (0, 1]."""
    maximum: int | None = Field(None, ge=1)
    """The largest number of tokens per row."""
    same: bool = False
    """Whether base and source use the same token numbers, counted within the named segments for `segments`; otherwise
    each is drawn independently."""
    segments: tuple[str, ...] = Field(default=(), strict=False)
    """The names of segments, for `segments`."""
    base: tuple[int, ...] = Field(default=(), strict=False)
    """Token numbers in base, for `explicit`; 0 is the first real token, whatever the padding."""
    source: tuple[int, ...] = Field(default=(), strict=False)
    """Token numbers in source, for `explicit`, as many as in `base`."""

    @model_validator(mode="after")
    def _check_fields(self) -> "PositionPolicy":
        faults = _policy_faults(self)
        if faults:
            raise ValueError(f"position policy '{self.policy}': " + "; ".join(faults))
        return self


def _policy_faults(policy: PositionPolicy) -> list[str]:
    name, faults = policy.policy, []
    if name in ("consecutive", "scattered") and policy.fraction is None and policy.maximum is None:
        faults.append(
            "the number of positions is missing; give `fraction`, `maximum` or both (the DIITO release: fraction 0.3)"
        )
    taken = {
        "fraction": ("consecutive", "scattered", "segments"),
        "maximum": ("consecutive", "scattered", "segments", "masked", "first", "last"),
        "same": ("consecutive", "scattered", "segments", "masked"),
        "segments": ("segments",),
        "base": ("explicit",),
        "source": ("explicit",),
    }
    for key, policies in taken.items():
        if getattr(policy, key) and name not in policies:
            faults.append(f"`{key}` has no effect here; it belongs to {', '.join(policies)}")
    if name == "segments" and not policy.segments:
        faults.append("no segment is named; give `segments`")
    if len(set(policy.segments)) < len(policy.segments):
        faults.append(f"`segments` names one twice: {list(policy.segments)}; give each once")
    if name == "explicit":
        if not policy.base or len(policy.base) != len(policy.source):
            faults.append(
                f"give equally many token numbers: `base` has {len(policy.base)}, `source` {len(policy.source)}"
            )
        if len(set(policy.base)) < len(policy.base):
            faults.append(f"`base` names one token twice: {list(policy.base)}; give each once")
        if min((*policy.base, *policy.source), default=0) < 0:
            faults.append("token numbers count from 0, the first real token of a row")
    return faults
