"""A running quantile over recent steps, for batches too small to have a quantile of their own."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed, nn

_BINS, _WIDEST = 2048, 64.0  # log-odds from −64 to 64, in steps of 1/16


class RunningQuantile(nn.Module):
    """Splits log-odds at a quantile of those of past steps, kept as a histogram that decays.

    The split is fixed within an optimizer step, so that micro-batches are split as one large batch would be; only those
    of the first step are split at their own quantiles. All processes share one histogram, and a checkpoint holds it.

    Args:
        fraction: The share that lies at the quantile or above.
        memory: Number of steps after which a value counts 1/e.
    """

    def __init__(self, fraction: float, memory: float = 100.0) -> None:
        super().__init__()
        self._fraction, self._kept = fraction, 1 - 1 / memory
        self._step: int | None = None
        self.past: Tensor
        self.present: Tensor
        self.register_buffer("past", torch.zeros(_BINS))
        self.register_buffer("present", torch.zeros(_BINS))

    def forward(
        self, odds: Float[Tensor, " item"], mask: Bool[Tensor, " item"], step: int, remember: bool
    ) -> Bool[Tensor, " item"]:
        """The mask of counted values at the quantile or above.

        Args:
            odds: Log-odds.
            mask: True where a log-odds counts.
            step: Optimizer steps done so far.
            remember: Whether they count in later steps; while there are no earlier ones, they are split at their own
                quantile.
        """
        if self._fraction == 1:  # includes values less uncertain than any before
            return mask
        within = odds.clamp(-_WIDEST, _WIDEST)  # excluded values get log-odds that no whole number represents
        bins = ((within + _WIDEST) * (_BINS / (2 * _WIDEST))).long().clamp(0, _BINS - 1)
        seen = torch.zeros_like(self.present).scatter_add_(0, bins, mask.to(self.present.dtype))
        if remember:
            self._remember(seen.clone(), step)
        known = torch.where(self.past.sum() > 0, self.past, seen)
        below = known.cumsum(0) <= (1 - self._fraction) * (known.sum() - 1).clamp(min=0)
        return mask & (bins >= below.sum())

    def _remember(self, seen: Tensor, step: int) -> None:
        if step != self._step:
            self.past.mul_(self._kept).add_(self.present)
            self.present.zero_()
            self._step = step
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(seen)
        self.present.add_(seen)
