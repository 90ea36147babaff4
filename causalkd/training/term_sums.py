"""The sums of the terms since the last row of the log, and the part of them that a checkpoint keeps."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

DIVERGED = (
    "The training has diverged; lower the learning rate, warm up for longer, or correct labels that are not numbers"
)


def check_finite(step: int, logged: Mapping[str, float]) -> None:
    """Refuses a loss or a term that is not a finite number.

    Raises:
        ValueError: One is not; the message names all of them, and the step.
    """
    if spoilt := [name for name, value in logged.items() if not math.isfinite(value)]:
        raise ValueError(f"at step {step} these values are not finite: {', '.join(spoilt)}. {DIVERGED}")


class TermSums:
    """The sum of every term over this process's micro-batches since the last row of the log.

    Args:
        begun: The sums of the micro-batches before a checkpoint.
        count: The number of those micro-batches.
    """

    def __init__(self, begun: Mapping[str, float] | None = None, count: int = 0) -> None:
        self._begun, self.count = dict(begun or {}), count
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Float[Tensor, ""]], loss: Float[Tensor, ""]) -> None:
        """Adds the terms of a micro-batch, in the precision and on the device of its loss."""
        for name, term in terms.items():
            total = self._sums.get(name)
            total = torch.full_like(loss, self._begun.get(name, 0.0)) if total is None else total
            self._sums[name] = total + term.detach()
        self.count += 1

    def totals(self) -> dict[str, float]:
        """The sums as numbers."""
        return {name: total.item() for name, total in self._sums.items()}

    def means(self, over_processes: Callable[[Tensor], Tensor], processes: int) -> dict[str, float]:
        """The mean of every term over the micro-batches of all processes; nothing if nothing was added.

        It is the one copy of the terms from the device, at the rate of logging.
        """
        if not self._sums:
            return {}
        sums = over_processes(torch.stack(list(self._sums.values())))
        return dict(zip(self._sums, (sums / (self.count * processes)).tolist(), strict=True))

    def take_means(self, over_processes: Callable[[Tensor], Tensor], processes: int) -> dict[str, float]:
        """The means; the sums then begin at zero."""
        found = self.means(over_processes, processes)
        self._begun, self._sums, self.count = {}, {}, 0
        return found


@dataclass(frozen=True)
class Unlogged:
    """The sums since the last row of the log, as a checkpoint keeps them."""

    sums: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    loss: float = 0.0
    last_logged: int | None = None

    @classmethod
    def read(cls, checkpoint: Path, process: int, processes: int) -> "Unlogged":
        """Reads the sums that a process has written into a checkpoint; none if the checkpoint has none of any process.

        Raises:
            ValueError: As many processes as there are now have not written it: they would train on other batches.
        """
        before = len(list(checkpoint.glob("unlogged_*.json")))
        if before not in (0, processes):
            raise ValueError(
                f"{checkpoint}: the number of processes was {before}, is {processes}, so steps would have another "
                f"number of rows; continue with {before}, or train again from the beginning"
            )
        file = _unlogged(checkpoint, process)
        return cls(**json.loads(file.read_text())) if before else cls()

    def write(self, checkpoint: Path, process: int) -> None:
        """Writes it into a checkpoint, for a process."""
        _unlogged(checkpoint, process).write_text(json.dumps(vars(self)))


def _unlogged(checkpoint: Path, process: int) -> Path:
    return checkpoint / f"unlogged_{process}.json"
