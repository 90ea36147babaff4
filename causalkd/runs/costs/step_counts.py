"""How many steps a training takes, and in how many of them the teacher runs."""

import math

from accelerate import PartialState

from causalkd.recipe.sections import TrainingPart
from causalkd.runs.setup.data import Data


def steps_of(training: TrainingPart, data: Data) -> int:
    """The optimizer steps of a training: the last one of an epoch may have fewer batches than the others."""
    if training.steps is not None:
        return training.steps
    batches = len(data.train.examples) // (training.batch_size * PartialState().num_processes)
    return math.ceil((training.epochs or 3.0) * max(1, math.ceil(batches / training.gradient_accumulation)))


def taught_share(training: TrainingPart, data: Data, *, is_first: bool) -> float:
    """The share of the steps in which the teacher runs at least: with a cache in the first epoch, if nowhere earlier.

    Args:
        training: Of the student.
        data: Its rows.
        is_first: Whether no other student has asked the teacher before it, whose outputs a file would keep.
    """
    cache, written = training.teacher_cache, training.sequences
    if cache is None or (written is not None and written.generator != "teacher"):  # rows that do not come again
        return 1.0
    if cache.on_disk and not is_first:
        return 0.0
    epoch = steps_of(training.model_copy(update={"steps": None, "epochs": 1.0}), data)
    return min(1.0, epoch / steps_of(training, data))
