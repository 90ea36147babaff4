"""Did AD-KD do what it is for? Its own term on held-out texts, of students that learned from it and of the others.

    python -m analysis.trained_maps runs/adkd-mrpc

prints, for each student of a run, the distance of its maps from the teacher's in the very terms of the recipe's `adkd`:
the same views, target, steps, place and scaling. The report's agreement is of other maps: signed, summed over the
width, and from a baseline that closes the gap.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from transformers.utils import logging

from causalkd.attributions import heldout_batches
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.load import random_like
from causalkd.models.modes import evaluating
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base_run import BaseRun
from causalkd.objectives.taught import Taught
from causalkd.recipe_objectives import ADKDPart
from causalkd.trained_run import TrainedRun
from causalkd.training.teacher_cache import TeacherCache
from causalkd.verification.text import columns


class Distances(NamedTuple):
    """The term of each of a student's seeds, and of an untrained student of its shape."""

    student: str
    own: list[float]
    untrained: list[float]


def trained_map_distances(run: TrainedRun, limit: int) -> list[Distances]:
    """AD-KD's term of every student over up to `limit` held-out texts.

    Costs the teacher's maps once, those of each student, and those of an untrained one of each shape and seed.

    Raises:
        ValueError: No student of the run learned from maps, or several did with other settings.
    """
    part, batches = _settings(run), heldout_batches(run, limit)
    settings, memory = part.model_dump(exclude={"weight"}), TeacherCache(run.teacher)
    found: dict[str, Distances] = {}
    twins: dict[tuple[str, int, int, int], float] = {}

    def term(model: HookedModel) -> float:
        return _term(ADKD(run.teacher, model, **settings), run.teacher, model, batches, memory)

    for name, seed, model in ((each.part.name, each.seed, each.model) for each in run.students):
        shape = (model.architecture, model.n_layers, model.width, seed)
        if shape not in twins:
            twins[shape] = term(random_like(model, seed))
        kept = found.setdefault(name, Distances(name, [], []))
        kept.own.append(term(model))
        kept.untrained.append(twins[shape])
    return list(found.values())


def table(found: Sequence[Distances]) -> list[tuple[str, ...]]:
    """The heads, and a row a student: means over seeds, with their standard deviation where they are several."""
    rows: list[tuple[str, ...]] = [("student", "distance of maps", "untrained student")]
    return rows + [(each.student, _spread(each.own), _spread(each.untrained)) for each in found]


def main(
    folder: Annotated[str, typer.Argument(help="Folder of a finished run with a student that `adkd` taught.")],
    limit: Annotated[int, typer.Option(help="Most texts; they are spread over the held-out examples.", min=1)] = 256,
) -> None:
    """Print AD-KD's own term of every student of a run, on held-out texts."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    run = TrainedRun.load(folder)
    typer.echo("\n".join(columns(table(trained_map_distances(run, limit)))))


def _settings(run: TrainedRun) -> ADKDPart:
    parts = [part.objectives.adkd for part in run.recipe.students if part.objectives.adkd is not None]
    asked = {part.model_dump_json(exclude={"weight"}) for part in parts}
    if len(asked) != 1:
        raise ValueError(
            f"{len(parts)} students of {run.folder.path} learned from maps, with {len(asked)} settings; "
            "a comparison needs one: name a run whose recipe has `adkd` objectives that differ in weight at most"
        )
    return parts[0]


def _term(
    objective: ADKD, teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], memory: TeacherCache
) -> float:
    """The term as if all batches were one: each is a mean over its positions."""
    kept, total, amount = objective.places(), 0.0, 0
    for batch in batches:
        at = kept.logits_at(student.task, batch)
        with torch.no_grad(), evaluating([student]):
            run = student.run(batch.inputs, kept.student, logits_at=at)
            taught = Taught(teacher, batch, kept.teacher, at, kept.teacher_map, memory)
            count = int(kept.amount(student.task, batch))
            total += count * objective(BaseRun(student, batch, run, teacher, taught)).item()
        amount += count
    return total / max(amount, 1)


def _spread(terms: Sequence[float]) -> str:
    return f"{np.mean(terms):.4f}" + (f" ± {np.std(terms, ddof=1):.4f}" if len(terms) > 1 else "")


if __name__ == "__main__":
    typer.run(main)
