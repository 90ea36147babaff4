"""The counterfactuals of one model over one batch: base and source run once, then one forward per intervention."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.hooks.forward import ForwardOutput, SourceActivations
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.baselines import permuted_positions, permuted_rows, same_sources
from causalkd.verification.interventions.norm_matched import norm_matched_sources
from causalkd.verification.interventions.plan import Intervention
from causalkd.verification.interventions.predictions import (
    Predictions,
    counted_logits,
    counted_positions,
    logits_wanted,
    predictions,
)


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """One counterfactual: its predictions, and whether the intervention changed anything."""

    predictions: Predictions
    hidden: Float[Tensor, "batch pos width"]
    """The last hidden states."""
    moved: bool
    """Whether some counted logit differs bitwise from the base run's."""
    differed: bool
    """Whether some source value differs from the value that it replaced."""


@dataclass(frozen=True, eq=False)
class SourceReadings:
    """The sources of one batch in one model."""

    source_activations: SourceActivations
    positions: Mapping[str, Positions]
    """The source positions by the name of the site pair."""

    def rows(self, index: Int[Tensor, "batch"]) -> SourceActivations:
        """The activations of some rows."""
        activations = {hook_point: tensor[index] for hook_point, tensor in self.source_activations.activations.items()}
        return SourceActivations(activations, self.source_activations.attention_mask[index])


@dataclass(frozen=True, eq=False)
class ModelPass:
    """One model's base run and sources over one batch, from which every counterfactual is computed."""

    model: HookedModel
    batch: Batch
    base: ForwardOutput
    source_readings: SourceReadings
    counted: Bool[Tensor, "batch pos"]

    @classmethod
    def of(cls, model: HookedModel, interventions: Iterable[Intervention], batch: Batch) -> "ModelPass":
        """Run base and source once, keeping the activations that these interventions need."""
        sites = [site for intervention in interventions for site in intervention.sites]
        needed = [
            hook_point for intervention in interventions for hook_point in hook_points_needed(model, intervention.sites)
        ]
        read = list(dict.fromkeys((site.source or site).hook_point for site in sites))
        counted = counted_positions(model.task, batch)
        base = model.run(
            batch.inputs, [*needed, *(site.hook_point for site in sites)], logits_at=logits_wanted(model.task, counted)
        )
        source_activations = (
            base.source_activations(batch.source_rows) if batch.source is None else model.read(batch.source, read)
        )
        return cls(model, batch, base, SourceReadings(source_activations, batch.positions), counted)

    @cached_property
    def plain(self) -> Predictions:
        """What the model predicts without an intervention."""
        return self._predictions(self.base)

    @cached_property
    def _same_sources(self) -> Bool[Tensor, "batch batch"]:
        return same_sources(self.batch)

    def counterfactual(self, intervention: Intervention) -> Counterfactual:
        """The counterfactual of an intervention, each row with its own source."""
        return self._intervene(
            intervention,
            self.source_readings.source_activations,
            self.source_readings.positions[intervention.positions],
        )

    def permuted(self, intervention: Intervention, source_readings: SourceReadings) -> Predictions:
        """The counterfactual predictions when each row receives another row's source.

        Args:
            intervention: The intervention.
            source_readings: The sources of this batch, whose rows are then permuted; or those of other rows, taken in
                order.
        """
        positions = self.source_readings.positions[intervention.positions]
        rows = torch.arange(len(positions.valid), device=positions.valid.device)
        if source_readings is self.source_readings:
            rows = permuted_rows(positions.valid.sum(1), self._same_sources)
        positions = permuted_positions(positions, source_readings.positions[intervention.positions].rows(rows))
        return self._intervene(intervention, source_readings.rows(rows), positions).predictions

    def moved_elsewhere(self, intervention: Intervention, seed: int) -> Predictions:
        """The predictions when activations move as far as in the intervention, but in another direction."""
        given = norm_matched_sources(
            intervention.sites,
            self.base,
            self.source_readings.source_activations,
            self.source_readings.positions[intervention.positions],
            seed,
        )
        return self._predictions(
            interchange(self.model, given[0], self.base, *given[1:], logits_at=self.base.logits_at)
        )

    def repeated(self, intervention: Intervention) -> Predictions:
        """The counterfactual predictions again, with base and source run a second time."""
        batch, rows, source = self.batch, self.batch.source_rows, self.batch.source
        if source is None:
            source = {name: tensor if rows is None else tensor[rows] for name, tensor in batch.inputs.items()}
        positions, wanted = batch.positions[intervention.positions], self.base.logits_at
        return self._predictions(
            interchange(self.model, intervention.sites, batch.inputs, source, positions, logits_at=wanted)
        )

    def _predictions(self, run: ForwardOutput) -> Predictions:
        return predictions(self.model.task, self._counted(run), self.counted)

    def _intervene(
        self, intervention: Intervention, source_activations: SourceActivations, positions: Positions
    ) -> Counterfactual:
        run = interchange(
            self.model, intervention.sites, self.base, source_activations, positions, logits_at=self.base.logits_at
        )
        logits = self._counted(run)
        return Counterfactual(
            predictions(self.model.task, logits, self.counted),
            run.hidden,
            moved=not torch.equal(logits, self._counted(self.base)),
            differed=_differ(intervention, self.base, source_activations, positions),
        )

    def _counted(self, run: ForwardOutput) -> Tensor:
        return counted_logits(self.model.task, run.logits, self.counted)


@dataclass(frozen=True, eq=False)
class Intervened:
    """One intervention in one model: each prediction that an observer reads is computed once, on first use."""

    passes: ModelPass
    intervention: Intervention
    source_readings: SourceReadings
    """The source rows of `permuted_source`, where every row receives another row's source."""
    _elsewhere: dict[int, Predictions] = field(default_factory=dict)

    @property
    def plain(self) -> Predictions:
        """What the model predicts without an intervention."""
        return self.passes.plain

    @cached_property
    def counterfactual(self) -> Counterfactual:
        """The counterfactual, each row with its own source."""
        return self.passes.counterfactual(self.intervention)

    @cached_property
    def permuted(self) -> Predictions:
        """The predictions when each row receives another row's source."""
        return self.passes.permuted(self.intervention, self.source_readings)

    @cached_property
    def repeated(self) -> Predictions:
        """The predictions when base and source are run a second time."""
        return self.passes.repeated(self.intervention)

    def moved_elsewhere(self, seed: int) -> Predictions:
        """The predictions when activations move as far, but in another direction."""
        if seed not in self._elsewhere:
            self._elsewhere[seed] = self.passes.moved_elsewhere(self.intervention, seed)
        return self._elsewhere[seed]


def _differ(
    intervention: Intervention, base: ForwardOutput, source_activations: SourceActivations, positions: Positions
) -> bool:
    row = torch.arange(len(positions.valid), device=positions.valid.device)[:, None]
    for site in intervention.sites:
        read = site.source or site
        replaced = base.activations[site.hook_point][row, positions.base][positions.valid]
        received = source_activations.activations[read.hook_point][row, positions.source][positions.valid]
        if not torch.equal(site.take(replaced), read.take(received)):
            return True
    return False


@dataclass
class Reach:
    """The interventions that can reach the output; the others changed activations, but never a counted logit."""

    moved: set[Intervention] = field(default_factory=set)
    """The interventions that changed a counted logit."""
    differed: set[Intervention] = field(default_factory=set)
    """The interventions that changed an activation."""

    def update(self, intervention: Intervention, found: Counterfactual) -> None:
        """Takes one batch into account."""
        if found.moved:
            self.moved.add(intervention)
        if found.differed:
            self.differed.add(intervention)

    def __contains__(self, intervention: Intervention) -> bool:
        return intervention in self.moved or intervention not in self.differed
