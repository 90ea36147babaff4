"""Did AD-KD do what it is for? Its own term on held-out texts, of the students that learned from it and of the others.

The agreement that a report shows is of other maps: signed, summed over the width, from a baseline that closes the gap.
"""

from collections.abc import Sequence

import torch

from causalkd.data.batch import Batch
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import StepContext
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.recipe.objectives import ADKDPart
from causalkd.runs.trained_run import TrainedRun
from causalkd.training.teacher_cache import TeacherCache
from causalkd.verification.results.attribution import MapDistanceRow


def map_distances(run: TrainedRun, batches: Sequence[Batch]) -> tuple[MapDistanceRow, ...]:
    """Each student's distance from the teacher in the terms of every `adkd` of the recipe, beside an untrained one's.

    Empty for a recipe without `adkd`. For each term costs the teacher's maps once, those of each student, and those of
    an untrained one of each shape and seed, as `ADKD` tells.

    Args:
        run: Whose models are measured.
        batches: Held-out texts, on the models' device; one number comes of all, however they are batched.
    """
    return tuple(
        row for teacher_outputs, part in _terms(run).items() for row in _rows(run, teacher_outputs, part, batches)
    )


def _terms(run: TrainedRun) -> dict[str, ADKDPart]:
    """The settings that differ in more than their weight, by the names of the students that learned with them."""
    names: dict[str, list[str]] = {}
    parts: dict[str, ADKDPart] = {}
    for student in run.recipe.students:
        if (part := student.objectives.adkd) is not None:
            settings = part.model_dump_json(exclude={"weight"})
            names.setdefault(settings, []).append(student.name)
            parts[settings] = part
    return {", ".join(teacher_outputs): parts[settings] for settings, teacher_outputs in names.items()}


def _rows(run: TrainedRun, teacher_outputs: str, part: ADKDPart, batches: Sequence[Batch]) -> list[MapDistanceRow]:
    settings, memory = part.model_dump(exclude={"weight"}), TeacherCache(run.teacher)
    texts = sum(len(batch.inputs["input_ids"]) for batch in batches)
    untrained: dict[tuple[str, int, int, int], float] = {}
    rows = []

    def term(model: HookedModel) -> float:
        return _term(ADKD(run.teacher, model, **settings), run.teacher, model, batches, memory)

    for student in run.students:
        name, seed, model = student.part.name, student.seed, student.model
        shape = (model.architecture, model.n_layers, model.width, seed)
        if shape not in untrained:
            untrained[shape] = term(untrained_copy(model, seed))
        rows.append(MapDistanceRow(name, seed, "measured", teacher_outputs, term(model), texts))
        rows.append(MapDistanceRow(name, seed, "untrained_student", teacher_outputs, untrained[shape], texts))
    return rows


def _term(
    objective: ADKD, teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], memory: TeacherCache
) -> float:
    """The term as if all batches were one: each is a mean over its positions."""
    kept, total, amount = objective.requirements(), 0.0, 0
    for batch in batches:
        at = kept.logits_at(student.task, batch)
        with torch.no_grad(), evaluating([student]):
            run = student.run(batch.inputs, kept.student, logits_at=at)
            teacher_outputs = TeacherOutputs(teacher, batch, kept.teacher, at, kept.teacher_query, memory)
            count = int(kept.amount(student.task, batch))
            total += count * objective(StepContext(student, batch, run, teacher, teacher_outputs)).item()
        amount += count
    return total / max(amount, 1)
