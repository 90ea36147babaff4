"""The processes that a launcher such as torchrun starts, for work other than training together.

Trainings exchange gradients often, and a process that waits for minutes has lost the others. A verification is
different: its processes communicate once, at the end, and one that is done early may wait for hours. So they use a
group of their own, on the host, with a timeout of days.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch.distributed
from accelerate import PartialState

from causalkd.processes.merged import merged

T = TypeVar("T")

PATIENCE = timedelta(days=30)
"""The time that a process waits for the others before it fails."""


class FailedElsewhere(ValueError):
    """The first process has failed in its work for all; it reports the fault itself."""


class ProcessLost(ValueError):
    """Another process of the job ended while this one waited for it."""


@dataclass(frozen=True)
class Processes:
    """The processes that share a piece of work, and which of them this one is; by default it is alone.

    Every process calls the methods that exchange something, in the same order.
    """

    count: int = 1
    rank: int = 0
    group: Any = None
    """The group of torch.distributed in which they exchange; None for a process that is alone."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, size: int, may_begin: Callable[[int], bool] = lambda number: True) -> range:
        """This process's share of `size` numbered pieces: neighbours, so that all shares in turn are all pieces.

        Args:
            size: The number of pieces.
            may_begin: Whether a share may begin with a piece; the first one may.
        """
        starts = [size * rank // self.count for rank in range(self.count)] + [size]
        for rank, start in enumerate(starts[:-1]):
            while 0 < start < size and not may_begin(start):
                start -= 1
            starts[rank] = start
        return range(starts[self.rank], starts[self.rank + 1])

    def gather(self, mine: T) -> Sequence[T]:
        """The values of all processes, in the order of their shares."""
        if self.count == 1:
            return [mine]
        found: list[Any] = [None] * self.count
        with _losses_named():
            torch.distributed.all_gather_object(found, mine, group=self.group)
        return found

    def together(self, mine: T) -> T:
        """The notes of all processes, as if one had made them; see `merged`."""
        return mine if self.count == 1 else merged(self.gather(mine))

    def in_first(self, work: Callable[[], T]) -> T:
        """The result of `work` in the first process, for which the others wait however long it takes.

        Raises:
            FailedElsewhere: In the other processes, where the first one has failed.
        """
        if self.count == 1:
            return work()
        if not self.is_first:
            fault, found = self._from_first(None)
            if fault is not None:
                raise FailedElsewhere(f"the first process has failed: {fault}")
            return found
        try:
            found = work()
        except BaseException as error:
            self._from_first((f"{type(error).__name__}: {error}", None))
            raise
        self._from_first((None, found))
        return found

    def wait(self) -> None:
        """Waits until every process is here."""
        self.gather(None)

    def _from_first(self, given: Any) -> Any:
        sent = [given]
        with _losses_named():
            torch.distributed.broadcast_object_list(sent, src=0, group=self.group)
        return sent[0]


ALONE = Processes()
"""A process that shares its work with no other."""


@contextmanager
def _losses_named() -> Iterator[None]:
    """A connection that breaks inside is reported as the end of the process at its other end."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            f"another process of this job ended while this one waited for it ({' '.join(str(error).split())[:200]}); "
            "its own message says why, if it could still print one; call the same command again"
        ) from error


@cache
def _host_group() -> Any:
    return torch.distributed.new_group(backend="gloo", timeout=PATIENCE)


def all_processes() -> Processes:
    """The processes of this job. Every process must make the first call.

    It must come before any other use of accelerate's state, which would take a process without an accelerator to be
    alone.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    if state.num_processes == 1:
        return ALONE
    return Processes(state.num_processes, state.process_index, _host_group())
