"""The counterfactuals of one model over one batch: base and source run once, then one exchange a side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.alignment.interchange import interchange, places_needed
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.hooked import HookedModel
from causalkd.models.run import Donor, Run
from causalkd.verification.cells import Side
from causalkd.verification.controls import permuted_positions, permuted_rows
from causalkd.verification.placebo import placebo
from causalkd.verification.predictions import (
    Predictions,
    counted_logits,
    counted_positions,
    logits_wanted,
    predictions,
)


@dataclass(frozen=True, eq=False)
class Answer:
    """One counterfactual: what was predicted, and whether the exchange did anything."""

    predictions: Predictions
    moved: bool
    """Some counted logit differs from the base run's, to the bit."""
    differed: bool
    """Some donated value differs from the one it replaced."""


@dataclass(frozen=True, eq=False)
class Donors:
    """The sources of one batch in one model."""

    donor: Donor
    positions: Mapping[str, Positions]
    """By the name of the site pair."""

    def rows(self, index: Int[Tensor, "batch"]) -> Donor:
        """The activations of some rows."""
        activations = {place: tensor[index] for place, tensor in self.donor.activations.items()}
        return Donor(activations, self.donor.attention_mask[index])


@dataclass(frozen=True, eq=False)
class Exchanges:
    """One model's base run and sources over one batch, from which every counterfactual is made."""

    model: HookedModel
    base: Run
    donors: Donors
    counted: Bool[Tensor, "batch pos"]

    @classmethod
    def of(cls, model: HookedModel, sides: Iterable[Side], batch: Batch) -> "Exchanges":
        """Runs base and source once, keeping what the exchanges at these sides need."""
        sites = [site for side in sides for site in side.sites]
        needed = [place for side in sides for place in places_needed(model, side.sites)]
        read = list(dict.fromkeys((site.source or site).place for site in sites))
        counted = counted_positions(model.task, batch)
        base = model.run(
            batch.inputs, [*needed, *(site.place for site in sites)], logits_at=logits_wanted(model.task, counted)
        )
        donor = base.donor(batch.source_rows) if batch.source is None else model.read(batch.source, read)
        return cls(model, base, Donors(donor, batch.positions), counted)

    def plain(self) -> Predictions:
        """What the model predicts without an exchange."""
        return predictions(self.model.task, self._counted(self.base), self.counted)

    def run(self, side: Side) -> Run:
        """The counterfactual run at a side, each row with its own source."""
        return self._run(side, self.donors.donor, self.donors.positions[side.positions])

    def counterfactual(self, side: Side) -> Answer:
        """The counterfactual at a side, each row with its own source."""
        return self._exchange(side, self.donors.donor, self.donors.positions[side.positions])

    def permuted(self, side: Side, donors: Donors) -> Predictions:
        """The counterfactual predictions when each row receives another row's source.

        Args:
            side: Where to exchange.
            donors: These exchanges' own, whose rows then change places; or those of other rows, taken in order.
        """
        positions = self.donors.positions[side.positions]
        rows = torch.arange(len(positions.valid), device=positions.valid.device)
        if donors is self.donors:
            rows = permuted_rows(positions.valid.sum(1))
        positions = permuted_positions(positions, donors.positions[side.positions].rows(rows))
        return self._exchange(side, donors.rows(rows), positions).predictions

    def moved_elsewhere(self, side: Side, seed: int) -> Predictions:
        """The predictions when activations move as far as the exchange moves them, but elsewhere."""
        given = placebo(side.sites, self.base, self.donors.donor, self.donors.positions[side.positions], seed)
        return self._predictions(
            interchange(self.model, given[0], self.base, *given[1:], logits_at=self.base.logits_at)
        )

    def anew(self, side: Side, batch: Batch) -> Predictions:
        """The counterfactual predictions once more, with base and source run for nothing else.

        Args:
            side: Where to exchange.
            batch: The batch that these exchanges were made of.
        """
        rows = batch.source_rows
        source = batch.source
        if source is None:
            source = {name: tensor if rows is None else tensor[rows] for name, tensor in batch.inputs.items()}
        positions, wanted = batch.positions[side.positions], self.base.logits_at
        return self._predictions(interchange(self.model, side.sites, batch.inputs, source, positions, logits_at=wanted))

    def _predictions(self, run: Run) -> Predictions:
        return predictions(self.model.task, self._counted(run), self.counted)

    def _run(self, side: Side, donor: Donor, positions: Positions) -> Run:
        return interchange(self.model, side.sites, self.base, donor, positions, logits_at=self.base.logits_at)

    def _exchange(self, side: Side, donor: Donor, positions: Positions) -> Answer:
        logits = self._counted(self._run(side, donor, positions))
        return Answer(
            predictions(self.model.task, logits, self.counted),
            moved=not torch.equal(logits, self._counted(self.base)),
            differed=_differ(side, self.base, donor, positions),
        )

    def _counted(self, run: Run) -> Tensor:
        return counted_logits(self.model.task, run.logits, self.counted)


def _differ(side: Side, base: Run, donor: Donor, positions: Positions) -> bool:
    row = torch.arange(len(positions.valid), device=positions.valid.device)[:, None]
    for site in side.sites:
        read = site.source or site
        replaced = base.activations[site.place][row, positions.base][positions.valid]
        donated = donor.activations[read.place][row, positions.source][positions.valid]
        if not torch.equal(site.take(replaced), read.take(donated)):
            return True
    return False


class Reach:
    """Which sides cannot reach the output: exchanges that changed activations and never a counted logit."""

    def __init__(self) -> None:
        self._moved: set[str] = set()
        self._differed: set[str] = set()

    def note(self, side: Side, answer: Answer) -> None:
        """Takes one batch into account."""
        if answer.moved:
            self._moved.add(side.name)
        if answer.differed:
            self._differed.add(side.name)

    def __contains__(self, side: Side) -> bool:
        return side.name in self._moved or side.name not in self._differed
