"""A DIITO training step beside the plain distillation step: time and memory."""

import tempfile

from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.models.hooked import HookedModel
from causalkd.objectives.base_run import Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.trainer import DistillationTrainer
from tests.benchmarks.floors import diito_cost, plain_cost
from tests.benchmarks.measure import Step, paired_ratios, step_memory
from tests.benchmarks.plain import TEMPERATURE, WEIGHTS, plain_loss
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting, batch_of, student_of, teacher_of


def rows(setting: Setting) -> list[Row]:
    """`diito_step_vs_kd` and `diito_memory_vs_kd`."""
    ratio = paired_ratios(plain_step(setting), {"diito": diito_step(setting)}, setting.rounds)["diito"]
    plain, diito = plain_cost(setting), diito_cost(setting)
    floor, flops = diito.blocks / plain.blocks, diito.flops(setting) / plain.flops(setting)
    taken = {name: step_memory(f"{__name__}:{name}", setting) for name in ("plain_step", "diito_step")}
    memory = taken["diito_step"] / taken["plain_step"]
    return [
        Row("diito_step_vs_kd", ratio.wall, None, floor, "ratio of times", ratio.low, ratio.high, ratio.cpu, flops),
        Row("diito_memory_vs_kd", memory, None, None, "ratio of peaks above rest"),
    ]


def plain_step(setting: Setting) -> Step:
    """Forward and backward of the plain step, on models of its own."""
    teacher, student, batch = teacher_of(setting), student_of(setting), batch_of(setting)
    assert batch.labels is not None
    labels = batch.labels

    def step() -> None:
        student.zero_grad()
        plain_loss(teacher, student, batch.inputs, labels).backward()

    return step


def diito_step(setting: Setting) -> Step:
    """Forward and backward of the trainer's loss: the plain step's terms and DIITO's, on models of its own."""
    trainer, batch = diito_trainer(setting), batch_of(setting).tensors()

    def step() -> None:
        trainer.student.model.zero_grad()
        trainer.compute_loss(trainer.student.model, batch).backward()

    return step


def diito_trainer(setting: Setting, diito: bool = True) -> DistillationTrainer:
    """A trainer with the plain step's objectives, and DIITO if asked for."""
    teacher = HookedModel(teacher_of(setting), task="masked_lm", role="teacher")
    student = HookedModel(student_of(setting), task="masked_lm", role="student")
    objectives = {
        "response_kd": Weighted(WEIGHTS["response_kd"], ResponseKD(TEMPERATURE)),
        "task": Weighted(WEIGHTS["task"], TaskLoss()),
        "hidden_kd": Weighted(WEIGHTS["hidden_kd"], HiddenKD(teacher, student)),
    }
    if diito:
        alignment = resolve(setting.alignment, teacher, student)
        objectives["diito"] = Weighted(0.25, DIITO(alignment, teacher, student, temperature=TEMPERATURE))
    arguments = TrainingArguments(output_dir=tempfile.gettempdir(), report_to="none", use_cpu=True)
    return DistillationTrainer(student, objectives, teacher, args=arguments)
