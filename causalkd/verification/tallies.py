"""What is counted while batches pass: the teacher's counterfactuals, and how often a student's equal them."""

from collections.abc import Collection, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.load import random_like
from causalkd.verification.cells import Cell, Side
from causalkd.verification.controls import modal_matches
from causalkd.verification.exchanges import Donors, Exchanges, Reach
from causalkd.verification.predictions import Predictions, divergence, same
from causalkd.verification.report import GRID, Control
from causalkd.verification.scores import Measurement, Score


class Truth:
    """The teacher's counterfactuals: of the present batch in full, of the earlier ones what later tallies need."""

    def __init__(self, model: HookedModel, sides: tuple[Side, ...], repeated: Collection[str]) -> None:
        """`repeated` names the sides that are measured a second time, for the ceiling."""
        self.model, self.sides, self.reach, self.repeated = model, sides, Reach(), repeated
        self.now: dict[str, Predictions] = {}
        self.effective: dict[str, Tensor] = {}
        self.ceiling: dict[str, Predictions] = {}
        self.counts: dict[str, list[np.ndarray]] = {side.name: [] for side in sides}
        self.effective_counts: dict[str, list[np.ndarray]] = {side.name: [] for side in sides}
        self._choices: dict[str, list[Tensor]] = {side.name: [] for side in sides}
        self._effective: dict[str, list[Tensor]] = {side.name: [] for side in sides}
        self._rows: list[Tensor] = []
        self._pairs = 0
        self.rows = 0

    def add(self, batch: Batch) -> None:
        """Runs the teacher over one more batch."""
        exchanges = Exchanges.of(self.model, self.sides, batch)
        plain = exchanges.plain()
        self.rows = len(batch.counted)
        for side in self.sides:
            answer = exchanges.counterfactual(side)
            self.reach.note(side, answer)
            self.now[side.name] = answer.predictions
            if side.name in self.repeated:
                self.ceiling[side.name] = exchanges.anew(side, batch)
            effective = (~same(answer.predictions.choice, plain.choice)).float()
            self.effective[side.name] = effective
            self.counts[side.name].append(_by_row(torch.ones_like(effective), plain, self.rows))
            self.effective_counts[side.name].append(_by_row(effective, plain, self.rows))
            self._choices[side.name].append(answer.predictions.choice)
            self._effective[side.name].append(effective)
        self._rows.append(plain.row + self._pairs)
        self._pairs += self.rows

    def modal(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Matches and effective matches by pair of the best constant guesses."""
        tallies = modal_matches(torch.cat(self._choices[side.name]), torch.cat(self._effective[side.name]))
        rows = torch.cat(self._rows)
        whole, effective = (torch.zeros(self._pairs, device=rows.device).index_add(0, rows, t) for t in tallies)
        return whole.double().cpu().numpy(), effective.double().cpu().numpy()


class Table:
    """One student's tallies: for each cell and control a list of (3, batch) arrays, and what stays at each cell."""

    def __init__(self, student: HookedModel, cells: tuple[Cell, ...], controls: Collection[Control], seed: int) -> None:
        self.student, self.cells, self.controls = student, cells, controls
        self.sides = tuple({cell.student.name: cell.student for cell in cells}.values())
        other = [cell.wrong_layer for cell in cells] if "wrong_layer" in controls else []
        other += [cell.shuffled for cell in cells] if "shuffled_alignment" in controls else []
        own = {side.name for side in self.sides}
        self.others = tuple({side.name: side for side in other if side is not None and side.name not in own}.values())
        self.reach = Reach()
        self.seed = seed
        self.random = random_like(student, seed) if "random_student" in controls else None
        self._tallies: dict[tuple[Cell, Control], list[np.ndarray]] = {}
        self._still: dict[Cell, list[np.ndarray]] = {cell: [] for cell in cells}
        self._earlier: Donors | None = None

    def add(self, batch: Batch, truth: Truth) -> None:
        """Runs the student over one more batch, of which the teacher's counterfactuals are there."""
        exchanges = Exchanges.of(self.student, (*self.sides, *self.others), batch)
        for side in (*self.sides, *self.others):
            answer = exchanges.counterfactual(side)
            self.reach.note(side, answer)
            for control in ("none", "wrong_layer", "shuffled_alignment"):
                self._tally(control, side, answer.predictions, truth)
            self._note_still(side, same(answer.predictions.choice, exchanges.plain().choice), truth)
        for side in self.sides:
            for control, found in self._controls(side, exchanges, len(batch.counted)):
                self._tally(control, side, found, truth)
        if self.random is not None:
            untrained = Exchanges.of(self.random, self.sides, batch)
            for side in self.sides:
                self._tally("random_student", side, untrained.counterfactual(side).predictions, truth)
        self._earlier = exchanges.donors
        for cell in self.cells:
            if cell.teacher.name in truth.ceiling and not cell.pair.startswith(GRID):
                self._note(cell, "ceiling", truth.ceiling[cell.teacher.name], truth)

    def _controls(self, side: Side, exchanges: Exchanges, rows: int) -> Iterator[tuple[Control, Predictions]]:
        if "no_intervention" in self.controls:
            yield "no_intervention", exchanges.plain()
        if "permuted_source" in self.controls:
            donors = self._earlier if rows == 1 and self._earlier else exchanges.donors
            yield "permuted_source", exchanges.permuted(side, donors)
        if "random_subspace" in self.controls:
            yield "random_subspace", exchanges.moved_elsewhere(side, self.seed)

    def _tally(self, control: Control, side: Side, found: Predictions, truth: Truth) -> None:
        """Notes what the student predicted after the exchange at a side, at every cell that looks for it there."""
        if control not in ("none", *self.controls):
            return
        for cell in self.cells:
            wanted = {"wrong_layer": cell.wrong_layer, "shuffled_alignment": cell.shuffled}.get(control, cell.student)
            if wanted is not None and wanted.name == side.name:
                self._note(cell, control, found, truth)

    def _note(self, cell: Cell, control: Control, found: Predictions, truth: Truth) -> None:
        given, effective = truth.now[cell.teacher.name], truth.effective[cell.teacher.name]
        match = same(given.choice, found.choice).float()
        parts = (match, match * effective, divergence(given, found))
        by_row = np.stack([_by_row(part, given, truth.rows) for part in parts])
        self._tallies.setdefault((cell, control), []).append(by_row)

    def _note_still(self, side: Side, stays: Bool[Tensor, "item"], truth: Truth) -> None:
        """Notes where neither model's prediction changes, at every cell with this side of the student's."""
        for cell in self.cells:
            if cell.student.name == side.name:
                still = stays.float() * (1 - truth.effective[cell.teacher.name])
                self._still[cell].append(_by_row(still, truth.now[cell.teacher.name], truth.rows))

    def measurement(self, truth: Truth) -> Measurement:
        """The scores of every cell under every control."""
        scores = []
        for cell in self.cells:
            reachable = cell.teacher in truth.reach and cell.student in self.reach
            counts, effective_counts = (
                np.concatenate(parts[cell.teacher.name]) for parts in (truth.counts, truth.effective_counts)
            )
            for control in ("none", *self.controls):
                if control == "modal_class":
                    (matches, effective), kl = truth.modal(cell.teacher), None
                elif (cell, control) in self._tallies:
                    matches, effective, kl = np.concatenate(self._tallies[cell, control], axis=1)
                else:  # there is no other layer, pair or declaration
                    continue
                still = np.concatenate(self._still[cell]) if control == "none" else None
                scores.append(Score(cell, control, reachable, matches, counts, effective, effective_counts, kl, still))
        return Measurement(tuple(scores))


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()
