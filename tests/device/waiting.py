"""Where the host waits for a device inside `compute_loss`: CUDA says so of each operation that makes it wait.

CUDA could also raise an error, but that ends the step at the first one; so it warns, and all of them are noted together
with whose code they are in. What transformers' own forwards do is theirs.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Objective, Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.response_kd import ResponseKD
from causalkd.task_types import Task
from causalkd.training.trainer import DistillationTrainer
from tests.benchmarks.setting import Setting, batch_of, student_of, teacher_of
from tests.device.line import Line
from tests.device.sizes import TINY, Sizes

_SAID = "called a synchronizing CUDA operation"
ObjectiveOf = Callable[[HookedModel, HookedModel, Setting], Objective]
OBJECTIVES: dict[str, tuple[Task, ObjectiveOf]] = {
    "kd": ("masked_lm", lambda teacher, student, setting: ResponseKD()),
    "diito": (
        "masked_lm",
        lambda teacher, student, setting: DIITO(resolve(setting.alignment, teacher, student), teacher, student),
    ),
    "adkd": ("classification", lambda teacher, student, setting: ADKD(teacher, student, steps=2)),
    "atkd": ("masked_lm", lambda teacher, student, setting: ATKD()),
}


@dataclass
class Waits:
    """Where the host waited, as `file:line`."""

    ours: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)
    """In what transformers or torch did of their own."""


def waits(device: torch.device, sizes: Sizes) -> list[Line]:
    """How often each objective's `compute_loss` waits for the device in code of ours, with tiny models."""
    return [_line(name, task, objective_of, device) for name, (task, objective_of) in OBJECTIVES.items()]


def _line(name: str, task: Task, objective_of: ObjectiveOf, device: torch.device) -> Line:
    setting = replace(TINY.bench, task=task)
    teacher = HookedModel(teacher_of(setting), task=setting.task, role="teacher")
    student = HookedModel(student_of(setting), task=setting.task, role="student")
    objectives = {name: Weighted(1.0, objective_of(teacher, student, setting))}
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(), report_to="none", use_cpu=device.type == "cpu", disable_tqdm=True
    )
    trainer = DistillationTrainer(student, objectives, teacher, args=arguments)
    batch = batch_of(setting).to(device).tensors()
    trainer.compute_loss(student.model, batch)  # what is found out once about the models may wait
    with watched(device) as found:
        trainer.compute_loss(student.model, batch)
    if device.type != "cuda":
        return Line(f"waits {name}", None, "in compute_loss", 0.0, f"torch does not say on {device.type}")
    note = "; ".join(dict.fromkeys(found.ours)) or f"and {len(found.theirs)} of transformers' own"
    return Line(f"waits {name}", len(found.ours), "in compute_loss", 0.0, note)


@contextmanager
def watched(device: torch.device) -> Iterator[Waits]:
    """Notes every operation that CUDA warns of."""
    found = Waits()

    def note(message: Warning | str, category: type[Warning], filename: str, line: int, *rest: Any) -> None:
        if _SAID not in str(message):
            shown(message, category, filename, line, *rest)
            return
        owner, place = _owner(sys._getframe(1))
        (found.ours if owner == "causalkd" else found.theirs).append(place or f"{filename}:{line}")

    with warnings.catch_warnings():
        shown = warnings.showwarning
        warnings.showwarning = note
        warnings.filterwarnings("always", message=f".*{_SAID}")
        with _told_by_cuda(device):
            yield found


@contextmanager
def _told_by_cuda(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _owner(frame: FrameType | None) -> tuple[str, str]:
    """The nearest caller of causalkd or transformers, and where in it; nothing where there is neither."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        for package in ("transformers", "causalkd"):
            if name.startswith(f"{package}."):
                return package, f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "", ""
