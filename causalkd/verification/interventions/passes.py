"""One pass over held-out pairs feeds every measurement: each exchange is run once, and shown to all who observe it."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import torch

from causalkd.data.batch import Batch
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass, SourceReadings
from causalkd.verification.interventions.plan import Intervention


@runtime_checkable
class Metric(Protocol):
    """Makes something of a model's answers while batches pass.

    It keeps nothing of a vocabulary's size beyond the intervention it sees; `TeacherCounterfactuals` does, until
    the next batch.
    """

    @property
    def interventions(self) -> Collection[Intervention]:
        """Where it wants to see exchanges."""
        ...

    def start(self, passes: ModelPass) -> None:
        """Sees the next batch, and the model's base run of it."""
        ...

    def update(self, intervene: Intervened) -> None:
        """Sees the exchange at one of its sides, over that batch."""
        ...


class ObservedModel:
    """One model, and who observes it."""

    def __init__(self, model: HookedModel, *observers: Metric) -> None:
        self.model, self.observers = model, observers
        self.interventions = tuple(
            dict.fromkeys(intervention for observer in observers for intervention in observer.interventions)
        )
        self._earlier: SourceReadings | None = None

    def see(self, batch: Batch, following: Batch | None) -> None:
        """Runs the model over a batch: base, source, and each side once for every answer that an observer asks for.

        Args:
            batch: Held-out pairs.
            following: The next one. If it has one row, and so no other row's source, it takes one of this batch.
        """
        passes = ModelPass.of(self.model, self.interventions, batch.to(self.model.model.device))
        source_readings = self._earlier or passes.source_readings
        self._earlier = passes.source_readings if following is not None and len(following.counted) == 1 else None
        for observer in self.observers:
            observer.start(passes)
        for intervention in self.interventions:
            intervene = Intervened(passes, intervention, source_readings)
            for observer in self.observers:
                if intervention in observer.interventions:
                    observer.update(intervene)


def run_passes(observed: Sequence[ObservedModel], batches: Sequence[Batch]) -> None:
    """Shows all batches of held-out pairs to all models; a batch goes from one model to the next in the order given.

    So an observer of a later model can compare with what one of an earlier model has kept of the batch. Modes stay as
    they were. Costs, for each model, a base run, a source run up to the last site that is read, and the blocks after
    the first site of each side for each different answer that is asked of it.
    """
    with torch.no_grad(), evaluating([each.model for each in observed]):
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            for each in observed:
                each.see(batch, following)
