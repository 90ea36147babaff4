"""The costs of a recipe, calculated before anything starts: operations, memory, disk and time of every stage."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from accelerate import PartialState

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import READERS, Batch, row_of
from causalkd.data.pairs.collator import ExampleSet
from causalkd.data.token_mask import TOKEN_TASKS, counted_tokens
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.objectives import ObjectivesPart
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart, TrainingPart
from causalkd.runs.costs.outlines import outline
from causalkd.runs.costs.step_counts import steps_of, teacher_share
from causalkd.runs.costs.step_flops import Step, compares, step_flops
from causalkd.runs.costs.step_memory import activations, forwards_held
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.prepare import build_alignment, build_collator, build_teacher
from causalkd.runs.setup.without_effect import without_effect
from causalkd.training.flops import ForwardCost, Number, Shape
from causalkd.training.progress import PlannedTraining, RunProgress

_BYTES = 4  # of a float32, the precision of students
_ADAM = 4  # weights, gradients and two moments
_KEPT = 2  # checkpoints of an unfinished training
_SAMPLED = 16  # batches whose shapes are measured
_INTERCHANGES = 5  # per model and site in verification: plain, permuted source, random direction, repeated, untrained
_OF_HIDDEN_STATES = {"hidden_kd", "diito_hidden"}
_GIGA, _MEBIBYTE = 1e9, 2**20


@dataclass(frozen=True)
class StagePlan:
    """The costs of one training or of the verification."""

    name: str
    parameters: int
    """The parameters of the trained model; in a verification, of all models."""
    steps: int
    tokens_per_step: Number
    """The tokens of all devices; in a verification, those of base."""
    flops_per_step: Number
    """Operations on each device."""
    memory: Number
    """Bytes on each device: weights, gradients, optimizer and activations."""
    disk: Number
    """Bytes while it runs: checkpoints, the finished model, caches."""

    @property
    def flops(self) -> Number:
        """The sum over all steps, on each device."""
        return self.steps * self.flops_per_step


@dataclass(frozen=True)
class Plan:
    """The stages of a run, in their order."""

    stages: tuple[StagePlan, ...]
    speed: Number
    """Operations per second of each device, from which the times are calculated."""
    processes: int

    @property
    def seconds(self) -> Number:
        """The sum over all stages."""
        return sum(map(self.seconds_of, self.stages))

    def seconds_of(self, stage: StagePlan) -> Number:
        """The seconds that a stage takes at this speed."""
        return stage.flops / self.speed

    def progress(self, done: Collection[str]) -> RunProgress:
        """The progress display of the run, in which the trainings of these names are done already."""
        *trainings, verification = self.stages
        planned = {stage.name: PlannedTraining(stage.steps, float(stage.flops_per_step)) for stage in trainings}
        return RunProgress(planned, float(verification.flops), done)

    def line(self) -> str:
        """The plan in one line."""
        flops, memory = (
            self.processes * sum(stage.flops for stage in self.stages),
            max(stage.memory for stage in self.stages),
        )
        disk = sum(stage.disk for stage in self.stages)
        return (
            f"planned: {_number(flops)}FLOP in {len(self.stages)} stages, at least {_time(self.seconds)} at "
            f"{_number(self.speed)}FLOP/s; {_size(memory)} of memory, {_size(disk)} of disk (see `causalkd plan`)"
        )

    def table(self) -> str:
        """The plan with one stage per line."""
        heads = ("stage", "parameters", "steps", "FLOP/step", "tokens/s", "memory", "disk", "time")
        rows: list[tuple[str, ...]] = [heads]
        for stage in self.stages:
            speed = stage.tokens_per_step * stage.steps / max(self.seconds_of(stage), 1e-9)
            rows.append(
                (
                    stage.name,
                    _number(stage.parameters),
                    f"{stage.steps:,}",
                    _number(stage.flops_per_step),
                    f"{speed:,.0f}",
                    _size(stage.memory),
                    _size(stage.disk),
                    _time(self.seconds_of(stage)),
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(
            [*lines, "", self.line(), "Times are those of the matrix products alone; real ones are longer."]
        )


def plan(recipe: Recipe, speed: Number | None = None, tell: Callable[[str], None] | None = None) -> Plan:
    """The costs of a recipe; trains nothing and writes nothing.

    Args:
        recipe: The recipe of a run.
        speed: Operations per second of a device; None measures a product of matrices on this one.
        tell: Receives a line about every key of the recipe that has no effect.

    Raises:
        ValueError: A fault in the recipe, the data or the models.
    """
    data = build_data(recipe.data, recipe.teacher, recipe.students)
    if tell is not None:
        for line in without_effect(recipe, data.train.kind):
            tell(line)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    student = outline(recipe.students[0], teacher, data)
    return planned(recipe, data, teacher, build_alignment(recipe.alignment, teacher, student), speed)


def planned(
    recipe: Recipe, data: Data, teacher: HookedModel, alignment: Alignment, speed: Number | None = None
) -> Plan:
    """The plan of a recipe whose data and teacher are built already; no student is built. See `plan`."""
    stages: list[StagePlan] = []
    processes, before = PartialState().num_processes, 0  # before: earlier students that learn from the teacher
    if recipe.teacher.training is not None:
        stages.append(_teacher_stage(recipe, recipe.teacher.training, data, teacher))
    for part in recipe.students:
        student = outline(part, teacher, data)
        training = recipe.training_of(part)
        shape = _shape(recipe, training, data, part.objectives)
        resolved, precomputed = resolve(alignment, teacher, student), recipe.teacher.outputs is not None
        for seed in recipe.seeds:
            share = 0.0 if precomputed else teacher_share(training, data, is_first=before == 0)
            step = Step(teacher, student, resolved, shape, recipe.data.sources, share, precomputed)
            stages.append(replace(_student_stage(part, training, data, step), name=f"{part.name}-seed{seed}"))
            before += compares(part.objectives)
        last = student
    stages.append(_verification_stage(recipe, data, teacher, last, len(recipe.students) * len(recipe.seeds)))
    speed = speed or _measured_speed(PartialState().device, torch.get_num_threads())
    return Plan(tuple(stages), speed, processes)


def _teacher_stage(recipe: Recipe, training: TrainingPart, data: Data, teacher: HookedModel) -> StagePlan:
    shape = _shape(recipe, training, data.in_teachers_tokens(), None)
    flops = 3 * ForwardCost(teacher).forward(shape) * training.gradient_accumulation
    memory = _ADAM * _bytes_of(teacher) + activations(teacher, shape)
    tokens, size = _tokens(training, shape), _size_of(teacher)
    return StagePlan("teacher", size, steps_of(training, data), tokens, flops, memory, _disk(_bytes_of(teacher)))


def _student_stage(
    part: StudentPart,
    training: TrainingPart,
    data: Data,
    step: Step,
) -> StagePlan:
    flops = step_flops(part.objectives, step) * training.gradient_accumulation
    has_teacher = compares(part.objectives) and not step.is_precomputed
    size, teacher = _size_of(step.student), _bytes_of(step.teacher) if has_teacher else 0
    trained = sum(weight.numel() for weight in step.student.model.parameters() if weight.requires_grad)
    held = forwards_held(part.objectives, step) * activations(step.student, step.shape, part.objectives)
    memory = teacher + _BYTES * (size + (_ADAM - 1) * trained) + held
    cache = training.teacher_cache
    disk = _disk(_BYTES * size) + (cache.max_mib * _MEBIBYTE if cache is not None and cache.on_disk else 0)
    return StagePlan(part.name, size, steps_of(training, data), _tokens(training, step.shape), flops, memory, disk)


def _tokens(training: TrainingPart, shape: Shape) -> Number:
    return shape.tokens * training.gradient_accumulation * PartialState().num_processes


def _shape(recipe: Recipe, training: TrainingPart, data: Data, objectives: ObjectivesPart | None) -> Shape:
    """The mean shape of batches of the training examples; with two tokenizers, that of the one with more tokens."""
    examples, size = ExampleSet(data.train.examples), min(training.batch_size, len(data.train.examples))
    collate = build_collator(recipe.data, data.train, data.tokenizer, None, recipe.seeds[0])
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
    drawn = [order[start : start + size] for start in range(0, len(order) - size + 1, size)][:_SAMPLED]
    batches = [Batch.from_tensors(collate([examples[number] for number in numbers])) for numbers in drawn]
    width = sum(max(batch.read_by(reader).counted.shape[1] for reader in READERS) for batch in batches) / len(batches)
    predicted = sum(_predicted(batch, data.train.kind, objectives) for batch in batches) / len(batches)
    return Shape(size, width, predicted)


def _predicted(batch: Batch, task: Any, objectives: ObjectivesPart | None) -> int:
    if task not in TOKEN_TASKS:
        return 0
    if objectives is not None and set(objectives.chosen()) <= _OF_HIDDEN_STATES:
        return 0
    looked = "labelled" if objectives is None or not _looks_everywhere(objectives) else "all"
    counted = counted_tokens(task, batch, looked)
    assert counted is not None
    return int(counted.sum())


def _looks_everywhere(objectives: ObjectivesPart) -> bool:
    return any(getattr(part, "tokens", "") == "all" for part in objectives.chosen().values())


def _verification_stage(
    recipe: Recipe, data: Data, teacher: HookedModel, student: HookedModel, students: int
) -> StagePlan:
    """An estimate of the verification: base and source run of each model, and its counterfactuals from every layer."""
    part = recipe.verification
    size = min(part.batch_size, part.pairs)
    lengths = [max(len(row_of(row, reader)["input_ids"]) for reader in READERS) for row in data.heldout.examples]
    width = sum(lengths) / len(lengths)
    shape, components = Shape(size, width, size * width), max(1, len(part.components))
    flops = 0.0
    for model, count in ((teacher, 1), (student, students)):
        cost = ForwardCost(model)
        sides = components * model.n_layers * (cost.blocks(shape) / 2 + cost.head(shape))
        flops += count * (2 * cost.forward(shape) + _INTERCHANGES * sides)
    sizes = _size_of(teacher) + students * _size_of(student)
    weights = _bytes_of(teacher) + _BYTES * students * _size_of(student)
    held = weights + _BYTES * shape.tokens * teacher.width * teacher.n_layers * 2
    flops /= PartialState().num_processes  # the processes share the batches
    return StagePlan("verification", sizes, -(-part.pairs // size), shape.tokens, flops, held, 0.0)


def _size_of(model: HookedModel) -> int:
    return sum(weight.numel() for weight in model.model.parameters())


def _bytes_of(model: HookedModel) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.model.parameters())


def _disk(weights: int) -> Number:
    """Bytes of the checkpoints with the optimizer's two moments, and of the finished model, from those of the
    weights.
    """
    return weights * ((_ADAM - 1) * _KEPT + 1)


@cache
def _measured_speed(device: torch.device, threads: int) -> Number:
    """Operations per second in a product of matrices on a device with this many threads; measured once."""
    side, times = 512, 8
    one = torch.ones(side, side, device=device)
    (one @ one).sum().item()
    began = time.perf_counter()
    total = one
    for _ in range(times):
        total = one @ total / side
    total.sum().item()
    return times * 2 * side**3 / max(time.perf_counter() - began, 1e-9)


def _number(value: Number) -> str:
    for bound, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= bound:
            return f"{value / bound:.3g} {letter}"
    return f"{value:.3g} "


def _size(value: Number) -> str:
    return f"{value / _GIGA:.2f} GB" if value >= _GIGA else f"{value / 1e6:.1f} MB"


def _time(seconds: Number) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
