"""What is counted while batches pass: the teacher's counterfactuals, and how often a student's equal them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.verification.cells import Cell, Side
from causalkd.verification.controls import CONTROLS, modal_matches
from causalkd.verification.exchanges import Exchange, Exchanges, Reach
from causalkd.verification.predictions import Predictions, divergence, same
from causalkd.verification.report import GRID, Control
from causalkd.verification.scores import Measurement, Score


@dataclass(frozen=True)
class Asked:
    """What is asked about one student: some cells, each under some controls."""

    cells: tuple[Cell, ...]
    controls: Collection[str]

    @property
    def scored(self) -> tuple[Control, ...]:
        """The measurement itself and the controls, in the order of a report."""
        return ("none", *(name for name in CONTROLS if name in self.controls))

    @property
    def with_ceiling(self) -> tuple[Cell, ...]:
        """The cells that have a ceiling, where it is asked for: the declared pairs."""
        return tuple(cell for cell in self.cells if "ceiling" in self.controls and not cell.pair.startswith(GRID))


class Truth:
    """Observes the teacher. Holds its counterfactuals: of the present batch in full, of earlier ones what is needed."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        asked = tuple(asked)
        self.sides = dict.fromkeys(cell.teacher for each in asked for cell in each.cells)
        self.repeated = {cell.teacher for each in asked for cell in each.with_ceiling}
        self.reach = Reach()
        self.plain: Tensor | None = None
        self.now: dict[Side, Predictions] = {}
        self.effective: dict[Side, Tensor] = {}
        self.ceiling: dict[Side, Predictions] = {}
        self.counts: dict[Side, list[np.ndarray]] = {side: [] for side in self.sides}
        self.effective_counts: dict[Side, list[np.ndarray]] = {side: [] for side in self.sides}
        self._choices: dict[Side, list[Tensor]] = {side: [] for side in self.sides}
        self._effective: dict[Side, list[Tensor]] = {side: [] for side in self.sides}
        self._rows: list[Tensor] = []
        self._pairs = 0
        self.rows = 0

    def begin(self, exchanges: Exchanges) -> None:
        """Forgets the batch before."""
        self.now, self.effective, self.ceiling = {}, {}, {}
        self.plain, self.rows = exchanges.plain.choice, len(exchanges.batch.counted)
        self._rows.append(exchanges.plain.row + self._pairs)
        self._pairs += self.rows

    def note(self, exchange: Exchange) -> None:
        """Takes the counterfactual at one side into account."""
        side, plain, found = exchange.side, exchange.plain, exchange.answer.predictions
        self.reach.note(side, exchange.answer)
        self.now[side] = found
        if side in self.repeated:
            self.ceiling[side] = exchange.anew
        effective = (~same(found.choice, plain.choice)).float()
        self.effective[side] = effective
        self.counts[side].append(_by_row(torch.ones_like(effective), plain, self.rows))
        self.effective_counts[side].append(_by_row(effective, plain, self.rows))
        self._choices[side].append(found.choice)
        self._effective[side].append(effective)

    def modal(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Matches and effective matches by pair of the best constant guesses."""
        tallies = modal_matches(torch.cat(self._choices[side]), torch.cat(self._effective[side]))
        rows = torch.cat(self._rows)
        whole, effective = (torch.zeros(self._pairs, device=rows.device).index_add(0, rows, t) for t in tallies)
        return whole.double().cpu().numpy(), effective.double().cpu().numpy()


class Table:
    """Observes a student, after the teacher's truth: for each cell and control tallies, and what stays at each cell."""

    def __init__(self, truth: Truth, asked: Asked, seed: int) -> None:
        """`seed` is that of `random_subspace` and of the untrained twin."""
        self.truth, self.asked, self.seed = truth, asked, seed
        self.own = dict.fromkeys(cell.student for cell in asked.cells)
        other = [cell.wrong_layer for cell in asked.cells] if "wrong_layer" in asked.controls else []
        other += [cell.shuffled for cell in asked.cells] if "shuffled_alignment" in asked.controls else []
        self.sides = dict.fromkeys([*self.own, *(side for side in other if side is not None)])
        self.reach = Reach()
        self._tallies: dict[tuple[Cell, Control], list[np.ndarray]] = {}  # of shape (3, batch)
        self._still: dict[Cell, list[np.ndarray]] = {cell: [] for cell in asked.cells}

    def begin(self, exchanges: Exchanges) -> None:
        """Tallies what needs no answer of the student."""
        for cell in self.asked.with_ceiling:
            self._note(cell, "ceiling", self.truth.ceiling[cell.teacher])

    def note(self, exchange: Exchange) -> None:
        """Tallies the counterfactual at a side of the student's, and the controls of that side."""
        side, plain, found = exchange.side, exchange.plain, exchange.answer.predictions
        self.reach.note(side, exchange.answer)
        for control in ("none", "wrong_layer", "shuffled_alignment"):
            self._tally(control, side, found)
        self._note_still(side, same(found.choice, plain.choice))
        if side not in self.own:
            return
        self._tally("no_intervention", side, plain)
        if "permuted_source" in self.asked.controls:
            self._tally("permuted_source", side, exchange.permuted)
        if "random_subspace" in self.asked.controls:
            self._tally("random_subspace", side, exchange.moved_elsewhere(self.seed))

    def note_untrained(self, exchange: Exchange) -> None:
        """Tallies the counterfactual at a side of the student's untrained twin."""
        self._tally("random_student", exchange.side, exchange.answer.predictions)

    def _tally(self, control: Control, side: Side, found: Predictions) -> None:
        """Notes what the student predicted after the exchange at a side, at every cell that looks for it there."""
        if control not in self.asked.scored:
            return
        for cell in self.asked.cells:
            wanted = {"wrong_layer": cell.wrong_layer, "shuffled_alignment": cell.shuffled}.get(control, cell.student)
            if wanted == side:
                self._note(cell, control, found)

    def _note(self, cell: Cell, control: Control, found: Predictions) -> None:
        given, effective = self.truth.now[cell.teacher], self.truth.effective[cell.teacher]
        match = same(given.choice, found.choice).float()
        parts = (match, match * effective, divergence(given, found))
        by_row = np.stack([_by_row(part, given, self.truth.rows) for part in parts])
        self._tallies.setdefault((cell, control), []).append(by_row)

    def _note_still(self, side: Side, stays: Bool[Tensor, "item"]) -> None:
        """Notes where neither model's prediction changes, at every cell with this side of the student's."""
        for cell in self.asked.cells:
            if cell.student == side:
                still = stays.float() * (1 - self.truth.effective[cell.teacher])
                self._still[cell].append(_by_row(still, self.truth.now[cell.teacher], self.truth.rows))

    def measurement(self) -> Measurement:
        """The scores of every cell under every control."""
        truth, scores = self.truth, []
        for cell in self.asked.cells:
            reachable = cell.teacher in truth.reach and cell.student in self.reach
            counts, effective_counts = (
                np.concatenate(parts[cell.teacher]) for parts in (truth.counts, truth.effective_counts)
            )
            for control in self.asked.scored:
                if control == "modal_class":
                    (matches, effective), kl = truth.modal(cell.teacher), None
                elif (cell, control) in self._tallies:
                    matches, effective, kl = np.concatenate(self._tallies[cell, control], axis=1)
                else:  # there is no other layer, pair or declaration
                    continue
                still = np.concatenate(self._still[cell]) if control == "none" else None
                scores.append(Score(cell, control, reachable, matches, counts, effective, effective_counts, kl, still))
        return Measurement(tuple(scores))


class Untrained:
    """Observes an untrained twin for the tables of the students whose twin it is."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(tables)
        self.sides = dict.fromkeys(side for table in self.tables for side in table.own)

    def begin(self, exchanges: Exchanges) -> None:
        """Needs nothing of base alone."""

    def note(self, exchange: Exchange) -> None:
        """Shows the tables what the twin says."""
        for table in self.tables:
            table.note_untrained(exchange)


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()
