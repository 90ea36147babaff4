"""One pass over held-out pairs serves every measurement: each intervention is run once and given to all observers."""

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
    """Measures something about a model's predictions while batches pass.

    It keeps nothing of a vocabulary's size beyond the intervention it sees; `TeacherCounterfactuals` does, until
    the next batch.
    """

    @property
    def interventions(self) -> Collection[Intervention]:
        """The interventions that the observer needs."""
        ...

    def start(self, passes: ModelPass) -> None:
        """Receives the next batch, and the model's base run on it."""
        ...

    def update(self, intervene: Intervened) -> None:
        """Receives the intervention at one of its sites, over that batch."""
        ...


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
    """Run all batches of held-out pairs through all models; a batch goes from one model to the next in the given
    order.

    So an observer of a later model can compare with what one of an earlier model has kept of the batch. Modes stay as
    they were. Costs, for each model, a base run, a source run up to the last site that is read, and the blocks after
    the first site of each intervention for each different prediction that is asked for.
    """
    with torch.no_grad(), evaluating([each.model for each in observed]):
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            for each in observed:
                each.see(batch, following)
