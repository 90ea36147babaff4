"""The number of steps of a training, and the share of them in which the teacher runs."""

import math

from accelerate import PartialState

from causalkd.recipe.sections import TrainingPart
from causalkd.runs.setup.data import Data


def steps_of(training: TrainingPart, data: Data) -> int:
    """The optimizer steps of a training; the last one of an epoch may have fewer batches than the others."""
    if training.steps is not None:
        return training.steps
    batches = len(data.train.examples) // (training.batch_size * PartialState().num_processes)
    return math.ceil((training.epochs or 3.0) * max(1, math.ceil(batches / training.gradient_accumulation)))


def teacher_share(training: TrainingPart, data: Data, *, is_first: bool) -> float:
    """The smallest share of the steps in which the teacher runs: with a cache, the first epoch, if it is needed.

    Args:
        training: The training of the student.
        data: Its data.
        is_first: Whether no other student has used the teacher before it; a cache on disk would keep those outputs.
    """
    cache, written = training.teacher_cache, training.sequences
    if cache is None or (written is not None and written.generator != "teacher"):  # no row is used twice
        return 1.0
    if cache.on_disk and not is_first:
        return 0.0
    epoch = steps_of(training.model_copy(update={"steps": None, "epochs": 1.0}), data)
    return min(1.0, epoch / steps_of(training, data))
