"""AD-KD steps that rows compare: three classes, each function builds models of its own."""

import tempfile
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainingArguments

from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD
from causalkd.training.teacher_cache import TeacherCache
from causalkd.training.trainer import DistillationTrainer
from tests.benchmarks.measure import Step
from tests.benchmarks.plain import TEMPERATURE
from tests.benchmarks.setting import Setting, batch_of, student_of, teacher_of

_CLASSES = 3


def plain_step(setting: Setting, steps: int) -> Step:
    """The straightforward algorithm on stock models: see `plain_adkd_loss`."""
    teacher, student = _stock(setting)
    inputs = batch_of(replace(setting, task="classification")).inputs

    def step() -> None:
        student.zero_grad()
        plain_adkd_loss(teacher, student, dict(inputs), steps).backward()

    return step


def plain_adkd_loss(
    teacher: PreTrainedModel, student: PreTrainedModel, inputs: dict[str, Tensor], steps: int
) -> Tensor:
    """KD and AD-KD as the release goes about it: eager attention, one forward a step, one backward a class.

    Both models are run again at every step of the path, whose last is the plain run, and all graphs stay alive.
    """
    maps, logits = [], []
    for model, first_order in ((teacher, True), (student, False)):
        model.set_attn_implementation("eager")
        total: list[Tensor] = [torch.zeros(()) for _ in range(_CLASSES)]
        for number in range(1, steps + 1):
            kept: list[Tensor] = []
            handle = model.bert.embeddings.register_forward_hook(partial(_scale, kept, number / steps, first_order))
            output = model(**inputs).logits
            handle.remove()
            for label in range(_CLASSES):
                loss = -output.log_softmax(-1)[:, label].sum()
                found = torch.autograd.grad(loss, kept[0], create_graph=not first_order, retain_graph=True)[0]
                total[label] = total[label] + found
        logits.append(output)
        maps.append(torch.stack([torch.linalg.vector_norm(each / steps * kept[0], dim=-1) for each in total]))
    t, s = maps[0].detach(), maps[1]
    scale_by_t2 = [each / torch.linalg.vector_norm(each, dim=-1, keepdim=True) for each in (t, s)]
    attribution = ((scale_by_t2[0] - scale_by_t2[1]).square().sum((1, 2)) / (t != 0).sum((1, 2))).sum()
    p, q = (each / TEMPERATURE for each in (logits[0].detach(), logits[1]))
    kd = (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1).mean()
    return TEMPERATURE**2 * kd + attribution


def first_epoch_step(setting: Setting, steps: int) -> Step:
    """The trainer's loss with both terms; the teacher is asked, and what it says is kept, until the next step."""
    trainer, batch = _trainer(setting, steps)
    step, memory = _step(trainer, batch), trainer._memory
    assert memory is not None

    def first() -> None:
        memory._answers.clear()
        step()

    return first


def later_epoch_step(setting: Setting, steps: int) -> Step:
    """The same, with the teacher's answers known."""
    trainer, batch = _trainer(setting, steps)
    _fill(trainer, batch)
    return _step(trainer, batch)


def plain_m8_step(setting: Setting) -> Step:
    """For measurements in a process of their own, which starts a function by its name."""
    return plain_step(setting, 8)


def later_m8_step(setting: Setting) -> Step:
    """The same of our own step."""
    return later_epoch_step(setting, 8)


def _step(trainer: DistillationTrainer, batch: Batch) -> Step:
    tensors = batch.tensors()

    def step() -> None:
        trainer.student.model.zero_grad()
        trainer.compute_loss(trainer.student.model, tensors).backward()

    return step


def _trainer(setting: Setting, steps: int) -> tuple[DistillationTrainer, Batch]:
    stock = _stock(setting)
    teacher = HookedModel(stock[0], task="classification", role="teacher")
    student = HookedModel(stock[1], task="classification", role="student")
    objectives = {
        "response_kd": Weighted(1.0, ResponseKD(TEMPERATURE)),
        "adkd": Weighted(1.0, ADKD(teacher, student, steps=steps)),
    }
    arguments = TrainingArguments(output_dir=tempfile.gettempdir(), report_to="none", use_cpu=True)
    memory = TeacherCache(teacher)
    trainer = DistillationTrainer(student, objectives, teacher, memory=memory, args=arguments)
    return trainer, replace(batch_of(replace(setting, task="classification")), labels=None)


def _fill(trainer: DistillationTrainer, batch: Batch) -> None:
    """Answers without running the teacher, whose memory would count as resting."""
    adkd, memory = trainer.objectives["adkd"].objective, trainer._memory
    assert isinstance(adkd, ADKD) and memory is not None
    scores = torch.rand(*batch.counted.shape, _CLASSES)
    memory.keep(adkd.query.key, batch, {"scores": scores})
    memory.keep("logits", batch, {"logits": scores[:, 0]})


def _stock(setting: Setting) -> tuple[PreTrainedModel, PreTrainedModel]:
    setting = replace(setting, task="classification")
    teacher, student = teacher_of(setting), student_of(setting)
    for model in (teacher, student):
        model.config.num_labels = model.num_labels = _CLASSES
        model.classifier = nn.Linear(setting.width, _CLASSES).requires_grad_(model is student)
    return teacher, student


def _scale(
    kept: list[Tensor], share: float, leaf: bool, module: nn.Module, args: tuple[Tensor, ...], output: Tensor
) -> Tensor:
    scale_by_t2 = share * output
    kept.append(scale_by_t2.requires_grad_() if leaf else scale_by_t2)
    return kept[0]
