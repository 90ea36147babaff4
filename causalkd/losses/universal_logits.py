"""The universal-logit distance: two predictions compared without knowing which entries mean the same (Boizard et al.
2024, arXiv 2402.12030).
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.chunked import check_temperature
from causalkd.losses.precision import at_least_float32_clamped
from causalkd.losses.reduction import mean_where


def universal_logit_distance(
    student: Float[Tensor, "*batch entry"],
    teacher: Float[Tensor, "*batch other_entry"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean over predictions of Σ |p − q|, where p and q are the probabilities, each in descending order.

    The smaller vocabulary is padded with zeros. The distance lies between 0 and 2, and is 0 if the sorted
    probabilities agree, whichever entries they belong to. Costs a sort of each vocabulary.

    Args:
        student: Logits.
        teacher: Logits over another vocabulary, without a graph.
        mask: The predictions that count; all without it. If none counts, the distance is 0.
        temperature: T, dividing both logits.

    Raises:
        ValueError: The temperature is not a positive number.
    """
    check_temperature(temperature)
    ours, theirs = (_sorted(each, temperature) for each in (student, teacher))
    entries = max(ours.shape[-1], theirs.shape[-1])
    ours, theirs = (F.pad(each, (0, entries - each.shape[-1])) for each in (ours, theirs))
    return mean_where((ours - theirs).abs().sum(-1), mask)


def _sorted(logits: Tensor, temperature: float) -> Tensor:
    return (at_least_float32_clamped(logits) / temperature).softmax(-1).sort(-1, descending=True).values
