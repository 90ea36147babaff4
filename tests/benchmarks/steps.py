"""Training steps that rows compare: each function builds models of its own and returns a forward and backward."""

import tempfile
from dataclasses import replace

import torch
from torch import Tensor
from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.trainer import DistillationTrainer
from tests.benchmarks.measure import Step
from tests.benchmarks.plain import TEMPERATURE, WEIGHTS, plain_loss
from tests.benchmarks.pyvene_runs import intervenable, pyvene_loss, with_hidden
from tests.benchmarks.setting import CPU, Setting, batch_of, student_of, teacher_of


def plain_step(setting: Setting) -> Step:
    """The plain distillation step on stock models."""
    teacher, student, batch = teacher_of(setting), student_of(setting), batch_of(setting)
    assert batch.labels is not None
    labels = batch.labels

    def step() -> None:
        student.zero_grad()
        plain_loss(teacher, student, batch.inputs, labels).backward()

    return step


def own_kd_step(setting: Setting, device: torch.device = CPU) -> Step:
    """The trainer's loss with the plain step's terms."""
    return _trainer_step(setting, False, device)


def diito_step(setting: Setting, device: torch.device = CPU) -> Step:
    """The trainer's loss with the plain step's terms and DIITO's, sources from the batch."""
    return _trainer_step(setting, True, device)


def diito_fresh_step(setting: Setting) -> Step:
    """The same with sources from outside the batch."""
    return _trainer_step(replace(setting, sources="dataset"), True, CPU)


def pyvene_step(setting: Setting) -> Step:
    """The DIITO step's terms with pyvene."""
    (pair,) = setting.alignment.pairs
    teacher, student = with_hidden(teacher_of(setting), setting), with_hidden(student_of(setting), setting)
    wrappers = (
        intervenable(teacher, pair.teacher[0].layer, setting),
        intervenable(student, pair.student[0].layer, setting),
    )
    batch = batch_of(setting)

    def step() -> None:
        student.zero_grad()
        pyvene_loss(*wrappers, batch).backward()

    return step


def diito_trainer(setting: Setting, diito: bool = True, device: torch.device = CPU) -> DistillationTrainer:
    """A trainer with the plain step's objectives, and DIITO if asked for, on the processor or the accelerator."""
    teacher = HookedModel(teacher_of(setting), task=setting.task, role="teacher")
    student = HookedModel(student_of(setting), task=setting.task, role="student")
    objectives = {
        "response_kd": Weighted(WEIGHTS["response_kd"], ResponseKD(TEMPERATURE)),
        "task": Weighted(WEIGHTS["task"], TaskLoss()),
        "hidden_kd": Weighted(WEIGHTS["hidden_kd"], HiddenKD(teacher, student)),
    }
    if diito:
        alignment = resolve(setting.alignment, teacher, student)
        objectives["diito"] = Weighted(WEIGHTS["diito"], DIITO(alignment, teacher, student, temperature=TEMPERATURE))
    arguments = TrainingArguments(output_dir=tempfile.gettempdir(), report_to="none", use_cpu=device.type == "cpu")
    return DistillationTrainer(student, objectives, teacher, args=arguments)


def _trainer_step(setting: Setting, diito: bool, device: torch.device) -> Step:
    trainer, batch = diito_trainer(setting, diito, device), batch_of(setting).to(device).tensors()

    def step() -> None:
        trainer.student.model.zero_grad()
        loss: Tensor = trainer.compute_loss(trainer.student.model, batch)
        loss.backward()

    return step
