"""A program: trains tiny models by every objective in 1, 2 and 4 processes: `python -m tests.training.processes DIR`.

Each training writes its weights and its logged terms as DIR/<processes>-<name>-<bits>.pt.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from causalkd.alignment.resolve import resolve
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from tests.processes.job import job
from tests.training.small import ALIGNMENT, models, trainer, weights

ROWS, GROUP, STEPS = 8, 2, 2
"""Of a step over all processes; in which sources lie, so that no process cuts one; of a training."""
COUNTS = (1, 2, 4)
TERMS: Mapping[str, Callable[[HookedModel, HookedModel], object]] = {
    "task": lambda teacher, student: TaskLoss(),
    "kd": lambda teacher, student: ResponseKD(),
    "diito": lambda teacher, student: DIITO(resolve(ALIGNMENT, teacher, student), teacher, student),
    "adkd": lambda teacher, student: ADKD(teacher, student, steps=2),
    "atkd": lambda teacher, student: ATKD(),
    "hidden": lambda teacher, student: HiddenKD(teacher, student, projection=True),
}
TRAININGS = {**{name: (name,) for name in TERMS}, "all": tuple(TERMS)}
CASES = (*((name, 64) for name in TRAININGS), ("all", 32))
"""The trainings and their types: float64 tells the objectives apart, and what all of them do in float32 is one case."""


def train(folder: Path, name: str, dtype: torch.dtype, processes: int) -> None:
    """One training; the first process writes what came of it."""
    teacher, student = models(dropout=0.0, dtype=dtype)
    for module in (*teacher.model.modules(), *student.model.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    objectives = {term: Weighted(1.0, TERMS[term](teacher, student)) for term in TRAININGS[name]}
    for weighted in objectives.values():
        if isinstance(weighted.objective, torch.nn.Module):
            weighted.objective.to(dtype)
    # AdamW divides a gradient by its size, and so makes whole steps of the rounding errors of gradients that are 0.
    optimizer = "sgd" if dtype == torch.float32 else "adamw_torch"
    options = {"per_device_train_batch_size": ROWS // processes, "max_steps": STEPS, "optim": optimizer}
    made = trainer(folder / "trainer", (teacher, student), objectives, group=GROUP, **options)
    made.train()
    if made.is_world_process_zero():
        rows = [{key: row[key] for key in row if key == "loss" or "term/" in key} for row in made.state.log_history]
        bits = torch.finfo(dtype).bits
        found = {"weights": weights(student), "rows": [row for row in rows if row]}
        torch.save(found, folder / f"{processes}-{name}-{bits}.pt")


def _learn(processes: int, folder: Path) -> None:
    for name, bits in CASES:
        train(folder, name, {32: torch.float32, 64: torch.float64}[bits], processes)


if __name__ == "__main__":
    for count in COUNTS:
        job(_learn, count, count, Path(sys.argv[1]))
