"""AD-KD's own term on held-out texts, for students that were trained on it and for those that were not.

The agreement in a report is between other maps: signed, summed over the width, from a baseline that closes the gap.
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
from causalkd.processes.processes import ALONE, Processes
from causalkd.recipe.objectives import ADKDPart
from causalkd.runs.trained_run import TrainedRun
from causalkd.training.teacher_cache import TeacherCache
from causalkd.verification.results.attribution import MapDistanceRow


def map_distances(
    run: TrainedRun,
    batches: Sequence[Batch],
    processes: Processes = ALONE,
) -> tuple[MapDistanceRow, ...]:
    """Each student's distance from the teacher in every `adkd` term of the recipe, and that of an untrained student.

    Empty for a recipe without `adkd`. Each term costs the teacher's maps once, those of each student, and those of
    an untrained student of each configuration and seed; see `ADKD`.

    Args:
        run: The run whose models are measured.
        batches: Held-out texts, on the models' device; the batching does not change the result.
        processes: The processes that share the batches.
    """
    return tuple(row for names, part in _terms(run).items() for row in _rows(run, names, part, batches, processes))


def _terms(run: TrainedRun) -> dict[str, ADKDPart]:
    """The settings of the terms without their weights, by the names of the students that were trained with them."""
    names: dict[str, list[str]] = {}
    parts: dict[str, ADKDPart] = {}
    for student in run.recipe.students:
        if (part := student.objectives.adkd) is not None:
            settings = part.model_dump_json(exclude={"weight"})
            names.setdefault(settings, []).append(student.name)
            parts[settings] = part
    return {", ".join(given): parts[settings] for settings, given in names.items()}


def _rows(
    run: TrainedRun, trained_on_it: str, part: ADKDPart, batches: Sequence[Batch], processes: Processes
) -> list[MapDistanceRow]:
    settings, memory = part.model_dump(exclude={"weight"}), TeacherCache(run.teacher)
    texts = sum(len(batch.inputs["input_ids"]) for batch in batches)
    untrained: dict[tuple[str, int], float] = {}
    rows = []

    def term(model: HookedModel) -> float:
        objective = ADKD(run.teacher, model, **settings)
        mine = [batches[number] for number in processes.share(len(batches))]
        parts = processes.together(_parts(objective, run.teacher, model, mine, memory))
        # Added up in the order of the batches, so that the sum is the same for any number of processes.
        return sum(part for part, _ in parts) / max(sum(count for _, count in parts), 1)

    for student in run.students:
        name, seed, model = student.part.name, student.seed, student.model
        alike = (model.model.config.to_json_string(), seed)
        if alike not in untrained:
            untrained[alike] = term(untrained_copy(model, seed))
        rows.append(MapDistanceRow(name, seed, "measured", trained_on_it, term(model), texts))
        rows.append(MapDistanceRow(name, seed, "untrained_student", trained_on_it, untrained[alike], texts))
    return rows


def _parts(
    objective: ADKD, teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], memory: TeacherCache
) -> list[tuple[float, int]]:
    """The term of each batch times its number of positions, and that number, by which batches are weighted."""
    kept, parts = objective.requirements(), []
    for batch in batches:
        at = kept.logits_at(student.task, batch)
        with torch.no_grad(), evaluating([student]):
            run = student.run(batch.inputs, kept.student, logits_at=at)
            teacher_outputs = TeacherOutputs(teacher, batch, kept.teacher, at, kept.teacher_query, memory)
            step = StepContext(student, batch, run, teacher, teacher_outputs)
            count, term = int(objective.amount(step)), objective(step).item()
        parts.append((count * term, count))
    return parts
