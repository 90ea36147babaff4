"""Report rows from maps: means over texts, each with its bootstrap interval over texts."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from causalkd.attribution.agreement import agreement, random_scores
from causalkd.attribution.faithfulness import Faithfulness
from causalkd.attribution.maps import AttributionMap
from causalkd.verification.results.attribution import (
    AgreementRow,
    AttributionBaseline,
    Estimate,
    FaithfulnessRow,
    GapRow,
)

_LARGE_GAP = 0.25


def agreement_row(
    student: str,
    seed: int,
    baseline: AttributionBaseline,
    layer: int,
    teacher_map: AttributionMap,
    student_map: AttributionMap,
    *,
    draw: int,
) -> AgreementRow:
    """The agreement of two maps of the same texts; with the baseline `random_map` a random map replaces the second.

    Tokens with a score of exactly 0 in both are not compared: no path leads from them to the explained output (such as
    tokens after a causal model's prediction, or those that the head does not read after the last block), and their ties
    would count as agreement.

    Args:
        student: The student's name.
        seed: The student's seed.
        baseline: The kind of the second map.
        layer: Number of the student's blocks before the hook point.
        teacher_map: The teacher's map.
        student_map: The student's map, or that of its baseline.
        draw: Seed of the random map and of the resamples.

    Raises:
        ValueError: The maps are of different texts or views.
    """
    _check_same(teacher_map, student_map)
    scores = student_map.scores
    mask = teacher_map.mask & ((teacher_map.scores != 0) | (scores != 0))
    if baseline == "random_map":
        scores = random_scores(scores, torch.Generator().manual_seed(draw))
    found = agreement(teacher_map.scores, scores, mask)
    return AgreementRow(
        student,
        seed,
        baseline,
        layer,
        teacher_map.made.hook_point,
        student_map.made.hook_point,
        *(estimate(_over_views(values), draw) for values in (found.cosine, found.spearman, found.overlap)),
        overlap_chance=estimate(_over_views(found.chance), draw).mean,
    )


def text_agreement(first: AttributionMap, second: AttributionMap) -> Float[np.ndarray, "batch"]:
    """The cosine of two maps for each text, as a mean over views; NaN where it is not defined.

    Raises:
        ValueError: The maps are of different texts or views.
    """
    _check_same(first, second)
    return _over_views(agreement(first.scores, second.scores, first.mask.expand_as(first.scores)).cosine)


def faithfulness_row(
    model: str, seed: int | None, baseline: AttributionBaseline, found: Faithfulness, *, draw: int
) -> FaithfulnessRow:
    """The means over texts; `draw` is the seed of the resamples."""
    normalised = (found.normalised(each) for each in (found.comprehensiveness, found.sufficiency, found.random))
    values = (found.comprehensiveness, found.sufficiency, *normalised)
    return FaithfulnessRow(
        model, seed, baseline, *(estimate(_over_views(each.double().cpu().numpy()), draw) for each in values)
    )


def gap_row(model: str, seed: int | None, found: AttributionMap) -> GapRow:
    """The gap to completeness of a map, with the explained change."""
    # Σ scores = F(text) − F(baseline) + gap, for maps whose scores are signed sums.
    explained = found.scores.sum(-1) - found.gap
    return GapRow(model, seed, found.made.hook_point, _size(found.gap), _size(explained), found.made.attention)


def large_gaps(rows: Sequence[GapRow], steps: int, baseline: str) -> list[str]:
    """One sentence for each model whose maps are not complete, at the hook point with the largest relative gap."""
    worst: dict[tuple[str, int | None], GapRow] = {}
    for row in rows:
        key = (row.model, row.seed)
        if key not in worst or _share_of_gap(row) > _share_of_gap(worst[key]):
            worst[key] = row
    return [
        f"the maps of {row.model}{'' if row.seed is None else f', seed {row.seed},'} at {row.hook_point} "
        f"do not add up: after {steps} steps from the baseline {baseline} the scores miss a mean change of "
        f"{row.explained:.3g} by {row.gap:.3g}; take more steps, or another baseline"
        for row in worst.values()
        if _share_of_gap(row) > _LARGE_GAP
    ]


def _share_of_gap(row: GapRow) -> float:
    return row.gap / row.explained if row.explained else float(row.gap > 0)


def estimate(values: Float[np.ndarray, "texts"], seed: int) -> Estimate:
    """The mean of the defined values, and its percentile bootstrap interval; no interval for a single text.

    These are not shares, so the intervals of `causalkd.verification.statistics.intervals` do not fit them.
    """
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else None, None, None, len(known))
    drawn = stats.bootstrap((known,), np.mean, vectorized=True, method="percentile", rng=np.random.default_rng(seed))
    low, high = drawn.confidence_interval
    return Estimate(float(known.mean()), float(low), float(high), len(known))


def _over_views(values: Float[np.ndarray, "view batch"]) -> Float[np.ndarray, "batch"]:
    """The mean over a text's defined views; NaN where none is defined."""
    counts = (~np.isnan(values)).sum(0)
    return np.divide(np.nansum(values, 0), counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _size(values: Float[Tensor, "view batch"]) -> float:
    return float(values.double().abs().mean())


def _check_same(first: AttributionMap, second: AttributionMap) -> None:
    if first.tokens != second.tokens:
        texts = enumerate(zip(first.tokens, second.tokens, strict=False))
        first_text = next((f", first in text {number}" for number, (one, other) in texts if one != other), "")
        raise ValueError(
            f"the maps are of {len(first.tokens)} and {len(second.tokens)} texts whose tokens differ{first_text}; "
            "compare maps of the same texts, tokenised alike"
        )
    if first.views != second.views:
        kinds = [sorted({name for view in each.views for name in view}) for each in (first, second)]
        raise ValueError(f"the maps explain different views, {kinds[0]} and {kinds[1]}; make both with the same views")
