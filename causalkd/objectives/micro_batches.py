"""The micro-batches of one optimizer step, whose means together equal the means of one large batch."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from causalkd.data.batch import Batch


@dataclass(frozen=True, eq=False)
class MicroBatches:
    """All batches of one optimizer step, over all processes.

    Micro-batches have different numbers of tokens, so a mean of their means is not the mean over all. But sums divided
    by the average number of tokens of a micro-batch give it: the Trainer divides by the number of micro-batches, and
    averages over the processes.

    Attributes:
        batches: The micro-batches of this process.
        processes: The number of processes, each with as many micro-batches.
        over_processes: Sums a tensor over the processes.
        of_processes: Concatenates the values of all processes, with a filler for those that have fewer.
    """

    batches: tuple[Batch, ...]
    processes: int
    over_processes: Callable[[Tensor], Tensor]
    of_processes: Callable[[Tensor, float], Tensor] = lambda values, _: values
    _totals: dict[Hashable, Tensor] = field(default_factory=dict)

    def average(self, key: Hashable, count: Callable[[Batch], Tensor], dtype: torch.dtype) -> Tensor:
        """The mean number of something in a micro-batch; counted once per step, under the key."""
        if key not in self._totals:
            self._totals[key] = self.over_processes(torch.stack([count(batch) for batch in self.batches]).sum(0))
        return self._totals[key].to(torch.promote_types(dtype, torch.float32)) / (self.processes * len(self.batches))

    def share(self, key: Hashable, count: Callable[[Batch], Tensor], batch: Batch, dtype: torch.dtype) -> Tensor:
        """The factor of a micro-batch's mean, so that the Trainer's average is the mean over all."""
        average = self.average(key, count, dtype)
        return count(batch) / torch.where(average > 0, average, 1)
