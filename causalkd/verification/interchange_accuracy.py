"""Interchange intervention accuracy: does the student's counterfactual prediction equal the teacher's, place by place?

Both models exchange the same positions of the same held-out pairs, each with its own activations, through the same
`interchange` that trains. The README says what each number is for.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.load import check_pair, random_like
from causalkd.models.modes import evaluating
from causalkd.verification.cells import Cell, Side, plan
from causalkd.verification.controls import CONTROLS, modal_matches
from causalkd.verification.exchanges import Donors, Exchanges, Reach
from causalkd.verification.predictions import Predictions, divergence, same
from causalkd.verification.report import Control
from causalkd.verification.scores import Measurement, Score

Subject = tuple[HookedModel, ResolvedAlignment]
"""A student, and the alignment resolved against the teacher and it."""


def measure(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    *,
    component: str = "block_output",
    trained: Collection[str] | None = None,
    controls: Collection[str] = CONTROLS,
    seed: int = 0,
) -> Measurement:
    """Scores one student; see `measure_all`."""
    (measured,) = measure_all(
        teacher, [(student, alignment)], batches, component=component, trained=trained, controls=controls, seeds=[seed]
    )
    return measured


def measure_all(
    teacher: HookedModel,
    students: Sequence[Subject],
    batches: Sequence[Batch],
    *,
    component: str = "block_output",
    trained: Collection[str] | None = None,
    controls: Collection[str] = CONTROLS,
    seeds: Sequence[int] | None = None,
) -> list[Measurement]:
    """Scores every student on the same held-out pairs: the declared pairs, and every layer against every layer.

    The teacher runs once for all students: one base run, one source run and one counterfactual a layer. Each student
    costs as much again at its own depth, once more its counterfactuals for `permuted_source`, and all of it once more
    for `random_student`. Held in memory at once: the teacher's counted logits of one batch for every layer, so give a
    causal LM with a large vocabulary small batches. Leaves modes as they were.

    Args:
        teacher: Whose counterfactual predictions are the truth here.
        students: Each with the same alignment resolved against it.
        batches: Held-out pairs, with a source and positions for every declared pair.
        component: What the grid exchanges, whole, in every layer of both models.
        trained: Names of the declared pairs that were in an objective; None for all.
        controls: Which controls to score besides.
        seeds: Of each student's untrained twin, in their order; 0 for all if not given.

    Raises:
        ValueError: Batches lack sources or positions, a name does not exist, or a student does not fit the teacher.
    """
    _check(students, batches, controls)
    for student, _ in students:
        check_pair(teacher, student)
    chosen: tuple[Control, ...] = tuple(name for name in CONTROLS if name in controls)
    tables = [
        _Table(student, plan(teacher, student, alignment, component, trained), chosen, seed)
        for (student, alignment), seed in zip(students, seeds or [0] * len(students), strict=True)
    ]
    sides = {cell.teacher.name: cell.teacher for table in tables for cell in table.cells}
    truth = _Truth(teacher, tuple(sides.values()))
    with torch.no_grad(), evaluating([teacher, *(student for student, _ in students)]):
        for batch in batches:
            batch = batch.to(teacher.model.device)
            truth.add(batch)
            for table in tables:
                table.add(batch, truth)
    return [table.measurement(truth) for table in tables]


class _Truth:
    """The teacher's counterfactuals: of the present batch in full, of the earlier ones what later tallies need."""

    def __init__(self, model: HookedModel, sides: tuple[Side, ...]) -> None:
        self.model, self.sides, self.reach = model, sides, Reach()
        self.now: dict[str, Predictions] = {}
        self.effective: dict[str, Tensor] = {}
        self.counts: dict[str, list[np.ndarray]] = {side.name: [] for side in sides}
        self.effective_counts: dict[str, list[np.ndarray]] = {side.name: [] for side in sides}
        self._choices: dict[str, list[Tensor]] = {side.name: [] for side in sides}
        self._effective: dict[str, list[Tensor]] = {side.name: [] for side in sides}
        self._rows: list[Tensor] = []
        self._pairs = 0

    def add(self, batch: Batch) -> None:
        exchanges = Exchanges.of(self.model, self.sides, batch)
        plain = exchanges.plain()
        rows = len(batch.counted)
        for side in self.sides:
            answer = exchanges.counterfactual(side)
            self.reach.note(side, answer)
            self.now[side.name] = answer.predictions
            effective = (~same(answer.predictions.choice, plain.choice)).float()
            self.effective[side.name] = effective
            self.counts[side.name].append(_by_row(torch.ones_like(effective), plain, rows))
            self.effective_counts[side.name].append(_by_row(effective, plain, rows))
            self._choices[side.name].append(answer.predictions.choice)
            self._effective[side.name].append(effective)
        self._rows.append(plain.row + self._pairs)
        self._pairs += rows

    def modal(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Matches and effective matches by pair of the best constant guesses."""
        tallies = modal_matches(torch.cat(self._choices[side.name]), torch.cat(self._effective[side.name]))
        rows = torch.cat(self._rows)
        whole, effective = (torch.zeros(self._pairs, device=rows.device).index_add(0, rows, t) for t in tallies)
        return whole.double().cpu().numpy(), effective.double().cpu().numpy()


class _Table:
    """One student's tallies: for each cell and control a list of (3, batch) arrays."""

    def __init__(self, student: HookedModel, cells: tuple[Cell, ...], controls: Collection[Control], seed: int) -> None:
        self.student, self.cells, self.controls = student, cells, controls
        self.sides = tuple({cell.student.name: cell.student for cell in cells}.values())
        self.reach = Reach()
        self.random = random_like(student, seed) if "random_student" in controls else None
        self._tallies: dict[tuple[Cell, Control], list[np.ndarray]] = {}
        self._earlier: Donors | None = None

    def add(self, batch: Batch, truth: _Truth) -> None:
        rows = len(batch.counted)
        exchanges = Exchanges.of(self.student, self.sides, batch)
        for side in self.sides:
            answer = exchanges.counterfactual(side)
            self.reach.note(side, answer)
            self._tally("none", side, answer.predictions, truth, rows)
        if "no_intervention" in self.controls:
            for side in self.sides:
                self._tally("no_intervention", side, exchanges.plain(), truth, rows)
        if "permuted_source" in self.controls:
            donors = self._earlier if rows == 1 and self._earlier else exchanges.donors
            for side in self.sides:
                self._tally("permuted_source", side, exchanges.permuted(side, donors), truth, rows)
            self._earlier = exchanges.donors
        if self.random is not None:
            untrained = Exchanges.of(self.random, self.sides, batch)
            for side in self.sides:
                self._tally("random_student", side, untrained.counterfactual(side).predictions, truth, rows)

    def _tally(self, control: Control, side: Side, found: Predictions, truth: _Truth, rows: int) -> None:
        for cell in self.cells:
            if cell.student is not side:
                continue
            given, effective = truth.now[cell.teacher.name], truth.effective[cell.teacher.name]
            match = same(given.choice, found.choice).float()
            parts = (match, match * effective, divergence(given, found))
            by_row = np.stack([_by_row(part, given, rows) for part in parts])
            self._tallies.setdefault((cell, control), []).append(by_row)

    def measurement(self, truth: _Truth) -> Measurement:
        scores = []
        for cell in self.cells:
            reachable = cell.teacher in truth.reach and cell.student in self.reach
            counts, effective_counts = (
                np.concatenate(parts[cell.teacher.name]) for parts in (truth.counts, truth.effective_counts)
            )
            for control in ("none", *self.controls):
                if control == "modal_class":
                    (matches, effective), kl = truth.modal(cell.teacher), None
                else:
                    matches, effective, kl = np.concatenate(self._tallies[cell, control], axis=1)
                scores.append(Score(cell, control, reachable, matches, counts, effective, effective_counts, kl))
        return Measurement(tuple(scores))


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()


def _check(students: Sequence[Subject], batches: Sequence[Batch], controls: Collection[str]) -> None:
    if not batches or not students:
        raise ValueError(
            f"{len(students)} students and {len(batches)} batches of pairs were given; give at least one of each"
        )
    declared = [alignment.alignment for _, alignment in students]
    faults = [
        f"control {name!r} does not exist; choose from {', '.join(CONTROLS)}"
        for name in controls
        if name not in CONTROLS
    ]
    if any(alignment != declared[0] for alignment in declared):
        faults.append("the students have different alignments; measure those of one alignment together")
    names = [pair.name for pair in declared[0].pairs]
    for number, batch in enumerate(batches):
        if batch.source is None and batch.source_rows is None:
            faults.append(f"batch {number} has no sources; make it with pair_batches")
        lacking = [name for name in names if name not in batch.positions]
        if lacking:
            faults.append(f"batch {number} has no positions for {lacking}, only for {sorted(batch.positions)}")
    if "permuted_source" in controls and len(batches[0].counted) < 2:
        faults.append("the first batch has one row, so permuted_source has no other source to give; use larger batches")
    if faults:
        raise ValueError("\n".join(faults))
