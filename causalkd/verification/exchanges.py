"""The counterfactuals of one model over one batch: base and source run once, then one exchange a side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
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
    hidden: Float[Tensor, "batch pos width"]
    """Last hidden states."""
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
    batch: Batch
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
        return cls(model, batch, base, Donors(donor, batch.positions), counted)

    @cached_property
    def plain(self) -> Predictions:
        """What the model predicts without an exchange."""
        return self._predictions(self.base)

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

    def anew(self, side: Side) -> Predictions:
        """The counterfactual predictions once more, with base and source run for nothing else."""
        batch, rows, source = self.batch, self.batch.source_rows, self.batch.source
        if source is None:
            source = {name: tensor if rows is None else tensor[rows] for name, tensor in batch.inputs.items()}
        positions, wanted = batch.positions[side.positions], self.base.logits_at
        return self._predictions(interchange(self.model, side.sites, batch.inputs, source, positions, logits_at=wanted))

    def _predictions(self, run: Run) -> Predictions:
        return predictions(self.model.task, self._counted(run), self.counted)

    def _exchange(self, side: Side, donor: Donor, positions: Positions) -> Answer:
        run = interchange(self.model, side.sites, self.base, donor, positions, logits_at=self.base.logits_at)
        logits = self._counted(run)
        return Answer(
            predictions(self.model.task, logits, self.counted),
            run.hidden,
            moved=not torch.equal(logits, self._counted(self.base)),
            differed=_differ(side, self.base, donor, positions),
        )

    def _counted(self, run: Run) -> Tensor:
        return counted_logits(self.model.task, run.logits, self.counted)


@dataclass(frozen=True, eq=False)
class Exchange:
    """One side of a model's exchanges: what everyone asks of it is run once, when it is first asked for."""

    exchanges: Exchanges
    side: Side
    donors: Donors
    """Whose rows donate where every row receives another's source."""
    _elsewhere: dict[int, Predictions] = field(default_factory=dict)

    @property
    def plain(self) -> Predictions:
        """What the model predicts without an exchange."""
        return self.exchanges.plain

    @cached_property
    def answer(self) -> Answer:
        """The counterfactual, each row with its own source."""
        return self.exchanges.counterfactual(self.side)

    @cached_property
    def permuted(self) -> Predictions:
        """What is predicted when each row receives another row's source."""
        return self.exchanges.permuted(self.side, self.donors)

    @cached_property
    def anew(self) -> Predictions:
        """What is predicted when base and source are run once more."""
        return self.exchanges.anew(self.side)

    def moved_elsewhere(self, seed: int) -> Predictions:
        """What is predicted when activations move as far, but elsewhere."""
        if seed not in self._elsewhere:
            self._elsewhere[seed] = self.exchanges.moved_elsewhere(self.side, seed)
        return self._elsewhere[seed]


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
        self._moved: set[Side] = set()
        self._differed: set[Side] = set()

    def note(self, side: Side, answer: Answer) -> None:
        """Takes one batch into account."""
        if answer.moved:
            self._moved.add(side)
        if answer.differed:
            self._differed.add(side)

    def __contains__(self, side: Side) -> bool:
        return side in self._moved or side not in self._differed
