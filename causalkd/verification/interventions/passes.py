"""One pass over held-out pairs for all measurements: each intervention is run once and given to all observers."""

from collections.abc import Collection, Sequence
from typing import Any

import torch

from causalkd.data.batch import Batch
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.processes import ALONE, Processes
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass, SourceReadings
from causalkd.verification.interventions.pair_rows import check_given
from causalkd.verification.interventions.plan import Intervention


class Observer:
    """An observer of one model: it receives every batch and every intervention of a pass, and keeps what its
    measurement needs.

    It keeps no tensor over the vocabulary beyond the present intervention; only `TeacherCounterfactuals` does, until
    the next batch. An observer defines those of the methods below that it needs.
    """

    noted: Any
    """Its notes on the batches so far, on the host, in a type that `merged` can put together."""
    interventions: Collection[Intervention]
    """The interventions that it needs."""

    def start(self, passes: ModelPass) -> None:
        """Receives the next batch, and the model's base run on it."""

    def update(self, intervene: Intervened) -> None:
        """Receives the intervention at one of its sites, over that batch."""

    def finish(self) -> None:
        """Is called when all models have run on the batch."""


class ObservedModel:
    """One model and its observers."""

    def __init__(self, model: HookedModel, *observers: Observer) -> None:
        self.model, self.observers = model, observers
        self.interventions = tuple(
            dict.fromkeys(intervention for observer in observers for intervention in observer.interventions)
        )
        self._earlier: SourceReadings | None = None

    def see(self, batch: Batch, following: Batch | None) -> None:
        """Run the model over a batch: base, source, and each intervention once for every prediction that an observer
        reads.

        Args:
            batch: Held-out pairs.
            following: The next batch. If it has only one row, and so no other row's source, it takes one of this batch.
        """
        read = batch.read_by(self.model.role).to(self.model.model.device)
        passes = ModelPass.of(self.model, self.interventions, read)
        source_readings = self._earlier or passes.source_readings
        self._earlier = passes.source_readings if following is not None and len(following.counted) == 1 else None
        for observer in self.observers:
            observer.start(passes)
        for intervention in self.interventions:
            intervene = Intervened(passes, intervention, source_readings)
            for observer in self.observers:
                if intervention in observer.interventions:
                    observer.update(intervene)


def run_passes(
    observed: Sequence[ObservedModel],
    batches: Sequence[Batch],
    processes: Processes = ALONE,
) -> None:
    """Run all batches of held-out pairs through all models; a batch goes from one model to the next in the given
    order.

    An observer of a later model can therefore compare with the results that one of an earlier model has kept of the
    batch. Training and evaluation modes are unchanged. Costs, for each model, a base run, a source run up to the last
    site that is read, and the blocks after the first site of each intervention for each different prediction that is
    read.

    Args:
        observed: The models and their observers.
        batches: Held-out pairs; in every process the same.
        processes: The processes that share the batches. At the end the observers of each have the notes of all, in the
            order of the batches.

    Raises:
        ValueError: There are no batches.
    """
    check_given(batches, "a measurement")
    observers = [observer for each in observed for observer in each.observers]
    # A batch of one row takes a source from the one before.
    mine = processes.share(len(batches), lambda number: len(batches[number].counted) > 1)
    with torch.no_grad(), evaluating([each.model for each in observed]):
        for number in mine:
            batch, following = batches[number], batches[number + 1] if number + 1 < len(batches) else None
            for each in observed:
                each.see(batch, following)
            for observer in observers:
                observer.finish()
    everything = processes.together(tuple(each.noted for each in observers))
    for observer, noted in zip(observers, everything, strict=True):
        observer.noted = noted
