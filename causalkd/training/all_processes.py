"""What the processes of a training tell each other: sums and lists of numbers."""

from accelerate import Accelerator
from torch import Tensor


class AllProcesses:
    """The processes of a training, of which there may be one.

    Args:
        accelerator: That of the training.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def number(self) -> int:
        """How many there are."""
        return self._accelerator.num_processes

    def sum(self, numbers: Tensor) -> Tensor:
        """The numbers of all processes, added up."""
        total = self._accelerator.reduce(numbers, reduction="sum")
        assert isinstance(total, Tensor)
        return total

    def list(self, numbers: Tensor, filler: float) -> Tensor:
        """The numbers of all processes one after another, with a filler where some have fewer."""
        padded = self._accelerator.pad_across_processes(numbers, pad_index=filler)  # type: ignore[arg-type]
        gathered = self._accelerator.gather(padded)
        assert isinstance(gathered, Tensor)
        return gathered
