"""The agreement of two maps, example by example: cosine, Spearman's rank correlation, overlap of the top tokens.

All three compare how attribution is distributed within one text, so neither the scale of a map nor its length matters,
and the maps of models of any width can be compared. Their value by chance is measured with `random_scores` instead of a
map, and with the map of a student that was never trained.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

TOP = 0.25
"""The default share of a text's tokens that are its top tokens."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """The agreement of two maps; NaN where it is not defined, which counts in no mean.

    Attributes:
        cosine: The cosine of the signed scores, −1 to 1; not defined if a map is zero.
        spearman: The correlation of the signed scores' ranks, −1 to 1; ties share their mean rank; not defined if a
            map is constant.
        overlap: Share of the first map's top tokens that are the second's too. Top tokens have the largest magnitudes;
            each of the tokens that tie for the last ranks counts in part, as if drawn among them, so that a map without
            differences scores what chance does. Not defined for a text without tokens, and, like the others, for a map
            with a score that is not finite.
        chance: The mean `overlap` of a random map: the share of top tokens in the text.
    """

    cosine: Float[np.ndarray, "*items"]
    spearman: Float[np.ndarray, "*items"]
    overlap: Float[np.ndarray, "*items"]
    chance: Float[np.ndarray, "*items"]


def agreement(
    first: Float[Tensor, "*items pos"],
    second: Float[Tensor, "*items pos"],
    mask: Bool[Tensor, "*items pos"],
    top: float = TOP,
) -> Agreement:
    """The agreement of two maps of the same texts.

    Args:
        first: Scores of one model, e.g. the teacher.
        second: Scores of the other model at the same tokens.
        mask: True at the tokens that are compared; scores elsewhere do not matter.
        top: Share of a text's tokens that are its top tokens; rounded up, so at least one.

    Raises:
        ValueError: `top` is not a share of the tokens, or the shapes differ.
    """
    if not first.shape == second.shape == mask.shape:
        shapes = ", ".join(str(tuple(each.shape)) for each in (first, second, mask))
        raise ValueError(f"the maps and the mask have the shapes {shapes}; maps of the same texts have one shape")
    if not 0 < top <= 1:
        raise ValueError(f"top={top} is not a share of the tokens; give more than 0 and at most 1, such as {TOP}")
    known = ((first.isfinite() & second.isfinite()) | ~mask).all(-1, keepdim=True)
    compared = mask & known
    one, other = (scores.double().masked_fill(~compared, torch.nan).cpu().numpy() for scores in (first, second))
    tokens = compared.sum(-1).cpu().numpy()
    # Slightly less: ⌈0.07 · 100⌉ must be 7 however that product is rounded.
    wanted = np.maximum(np.ceil(top * tokens - 1e-9), tokens > 0)
    both = _membership(one, wanted) * _membership(other, wanted)
    return Agreement(
        cosine=_cosine(one, other),
        spearman=_cosine(_centred_ranks(one), _centred_ranks(other)),
        overlap=_divide(np.nansum(both, -1), wanted),
        chance=_divide(wanted, tokens),
    )


def random_scores(like: Float[Tensor, "*items pos"], generator: torch.Generator) -> Float[Tensor, "*items pos"]:
    """A random map of the same shape: independent normal scores.

    It is drawn on the generator's device, so that every device gets the same.
    """
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=torch.float64).to(like)


# In these, positions that are not compared are NaN.
def _centred_ranks(scores: Float[np.ndarray, "*items pos"]) -> Float[np.ndarray, "*items pos"]:
    ranks = stats.rankdata(scores, axis=-1, nan_policy="omit")
    tokens = (~np.isnan(scores)).sum(-1, keepdims=True)
    return ranks - (tokens + 1) / 2


def _cosine(
    one: Float[np.ndarray, "*items pos"], other: Float[np.ndarray, "*items pos"]
) -> Float[np.ndarray, "*items"]:
    # Each is brought to size one first: a product of tiny scores would vanish.
    one, other = (_divide(each, np.nanmax(np.abs(each), -1, keepdims=True, initial=0)) for each in (one, other))
    size = np.sqrt(np.nansum(one**2, -1) * np.nansum(other**2, -1))
    return np.clip(_divide(np.nansum(one * other, -1), size), -1, 1)


def _membership(
    scores: Float[np.ndarray, "*items pos"], wanted: Float[np.ndarray, "*items"]
) -> Float[np.ndarray, "*items pos"]:
    """Membership of each token in the `wanted` top tokens: 1, 0, or the chance of a draw among those that tie."""
    first, last = (stats.rankdata(-np.abs(scores), way, axis=-1, nan_policy="omit") for way in ("min", "max"))
    return np.clip((wanted[..., None] - first + 1) / (last - first + 1), 0, 1)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The ratio; NaN where the whole is zero."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
