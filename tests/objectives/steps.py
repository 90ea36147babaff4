"""What the tests of the objectives share: a teacher, a student, a batch with sources, and one step's base runs."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment, resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.batch import IGNORED, Batch
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Objective, StepContext
from causalkd.task_types import Task
from tests.alignment.interventions import PAIRS, positions
from tests.oracles.interchange import Intervened, Pairs, Spot, slow_interchange
from tests.tiny import VOCABULARY, tiny, tiny_inputs

BASE, SOURCE = tiny_inputs(4, 10), tiny_inputs(4, 8, seed=1)
ROWS = torch.tensor([1, 2, 3, 0])
FIRST = ("first", 1, 0)
CROSSED: Pairs = [[(s, b) for b, s in row] for row in PAIRS]


def models(
    task: Task = "masked_lm", teacher: str = "bert", student: str = "distilbert", dropout: float = 0.0
) -> tuple[HookedModel, HookedModel]:
    """A 3-layer teacher and a 2-layer student in float64."""
    one = tiny(teacher, task, seed=0, dtype=torch.float64)
    other = tiny(student, task, seed=1, layers=2, dtype=torch.float64, dropout=dropout)
    return HookedModel(one, task=task, role="teacher"), HookedModel(other, task=task, role="student")


def aligned(
    teacher: HookedModel, student: HookedModel, *pairs: tuple[str, int, int], first: tuple[str, int, int] = FIRST
) -> ResolvedAlignment:
    """`first` and further pairs of (name, teacher's block, student's block)."""
    declared = tuple(
        SitePair(name=name, teacher=(Site(layer=of_teacher),), student=(Site(layer=of_student),))
        for name, of_teacher, of_student in (first, *pairs)
    )
    return resolve(Alignment(name="tests", positions=PositionPolicy(policy="all"), pairs=declared), teacher, student)


def labels_of(task: Task, inputs: dict[str, Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    rows, length = inputs["input_ids"].shape
    if task == "regression":
        return torch.randn(rows, generator=generator, dtype=torch.float64)
    if task == "classification":
        return torch.randint(3, (rows,), generator=generator)
    if task == "multi_label":
        return torch.randint(2, (rows, 3), generator=generator)
    if task == "question_answering":
        return torch.randint(length // 2, (rows, 2), generator=generator)
    tokens = torch.randint(3 if task == "token_classification" else VOCABULARY, (rows, length), generator=generator)
    chosen = (torch.rand(rows, length, generator=generator) < 0.4) & inputs["attention_mask"].bool()
    return tokens.where(chosen, IGNORED)


def batch_of(task: Task = "masked_lm", inside: bool = False, names: tuple[str, ...] = ("first",)) -> Batch:
    """A batch with separate sources, or with sources inside it."""
    drawn = {name: positions(PAIRS) for name in names}
    plain = Batch(BASE, labels_of(task, BASE), positions=drawn)
    return replace(plain, source_rows=ROWS) if inside else replace(plain, source=SOURCE)


def step_of(
    objective: Objective, teacher: HookedModel | None, student: HookedModel, batch: Batch, step: int = 0
) -> StepContext:
    kept = objective.requirements()
    teacher_outputs = teacher.run(batch.inputs, kept.teacher) if teacher else None
    return StepContext(student, batch, student.run(batch.inputs, kept.student), teacher, teacher_outputs, step)


def slow(model: HookedModel, layer: int, base: dict[str, Tensor], source: dict[str, Tensor], pairs: Pairs) -> Any:
    """The stock output of the counterfactual at a block's output, by plain hooks."""
    spot = Spot(model.hook_point("block_output", layer).module, "output")
    return slow_interchange(model.model, [Intervened(spot, spot)], base, source, pairs)


def gradients(student: HookedModel, loss: Tensor) -> list[Tensor]:
    parameters = list(student.model.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True, retain_graph=True)
    return list(found)


def assert_same_term(student: HookedModel, mine: Tensor, expected: Tensor) -> None:
    """Equal value and equal parameter gradients."""
    torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)
    for one, other in zip(gradients(student, mine), gradients(student, expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
