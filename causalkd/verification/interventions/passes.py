"""One pass over held-out pairs serves every measurement: each intervention is run once and given to all observers."""

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


class Metric:
    """Measures something about a model's predictions while batches pass.

    It keeps nothing of a vocabulary's size beyond the intervention it sees; `TeacherCounterfactuals` does, until
    the next batch. A metric defines those of the methods below that it needs.
    """

    noted: Any
    """All that it has noted of the batches so far, on the host, in a shape that `merged` puts together."""
    interventions: Collection[Intervention]
    """The interventions that the observer needs."""

    def start(self, passes: ModelPass) -> None:
        """Receives the next batch, and the model's base run on it."""

    def update(self, intervene: Intervened) -> None:
        """Receives the intervention at one of its sites, over that batch."""

    def finish(self) -> None:
        """Is called when all models have seen the batch."""


class ObservedModel:
    """One model and its observers."""

    def __init__(self, model: HookedModel, *observers: Metric) -> None:
        self.model, self.observers = model, observers
        self.interventions = tuple(
            dict.fromkeys(intervention for observer in observers for intervention in observer.interventions)
        )
        self._earlier: SourceReadings | None = None

    def see(self, batch: Batch, following: Batch | None) -> None:
        """Run the model over a batch: base, source, and each intervention once for every prediction that is asked
        for.

        Args:
            batch: Held-out pairs.
            following: The next batch. If it has one row, and so no other row's source, it takes one of this batch.
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

    So an observer of a later model can compare with what one of an earlier model has kept of the batch. Modes stay as
    they were. Costs, for each model, a base run, a source run up to the last site that is read, and the blocks after
    the first site of each intervention for each different prediction that is asked for.

    Args:
        observed: The models and their observers.
        batches: Held-out pairs; in every process the same.
        processes: Who shares the batches. At the end the observers of each have noted what was seen by all, in the
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
