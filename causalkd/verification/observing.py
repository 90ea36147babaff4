"""One pass over held-out pairs feeds every measurement: each exchange is run once, and shown to all who observe it."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import torch

from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.modes import evaluating
from causalkd.verification.cells import Side
from causalkd.verification.exchanges import Donors, Exchange, Exchanges


@runtime_checkable
class Observer(Protocol):
    """Makes something of a model's answers while batches pass.

    It keeps nothing of a vocabulary's size beyond the exchange it sees; `Truth` does, until the next batch.
    """

    @property
    def sides(self) -> Collection[Side]:
        """Where it wants to see exchanges."""
        ...

    def begin(self, exchanges: Exchanges) -> None:
        """Sees the next batch, and the model's base run of it."""
        ...

    def note(self, exchange: Exchange) -> None:
        """Sees the exchange at one of its sides, over that batch."""
        ...


class Observed:
    """One model, and who observes it."""

    def __init__(self, model: HookedModel, *observers: Observer) -> None:
        self.model, self.observers = model, observers
        self.sides = tuple(dict.fromkeys(side for observer in observers for side in observer.sides))
        self._earlier: Donors | None = None

    def see(self, batch: Batch, following: Batch | None) -> None:
        """Runs the model over a batch: base, source, and each side once for every answer that an observer asks for.

        Args:
            batch: Held-out pairs.
            following: The next one. If it has one row, and so no other row's source, it takes one of this batch.
        """
        exchanges = Exchanges.of(self.model, self.sides, batch.to(self.model.model.device))
        donors = self._earlier or exchanges.donors
        self._earlier = exchanges.donors if following is not None and len(following.counted) == 1 else None
        for observer in self.observers:
            observer.begin(exchanges)
        for side in self.sides:
            exchange = Exchange(exchanges, side, donors)
            for observer in self.observers:
                if side in observer.sides:
                    observer.note(exchange)


def observe(observed: Sequence[Observed], batches: Sequence[Batch]) -> None:
    """Shows all batches of held-out pairs to all models; a batch goes from one model to the next in the order given.

    So an observer of a later model can compare with what one of an earlier model has kept of the batch. Modes stay as
    they were. Costs, for each model, a base run, a source run up to the last site that is read, and the blocks after
    the first site of each side for each different answer that is asked of it.
    """
    with torch.no_grad(), evaluating([each.model for each in observed]):
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            for each in observed:
                each.see(batch, following)
