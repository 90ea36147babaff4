"""Students without weights, from whose layers costs are calculated before anything is built."""

import torch

from causalkd.models.checkpoints import read_config
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import fresh_model
from causalkd.models.lora import add_lora
from causalkd.models.students import cut_config
from causalkd.recipe.sections import StudentPart
from causalkd.runs.setup.data import Data


def outline(part: StudentPart, teacher: HookedModel, data: Data) -> HookedModel:
    """The model that `build_student` would build, on torch's meta device: every layer with its sizes, but no numbers.

    Raises:
        ValueError: A layer, width or checkpoint does not exist, or the student has no layers for the adapters.
    """
    tokenizer = data.tokenizer_of("student")
    if part.model is None:
        config, labels = cut_config(teacher, layers=part.layers, every=part.every, width=part.width), None
    else:
        config, labels = read_config(part.model), data.labels
    with torch.device("meta"):
        student = fresh_model(config, tokenizer, task=teacher.task, role="student", labels=labels, seed=0)
        if part.lora is not None:
            add_lora(student, **part.lora.model_dump(), seed=0)
    return student
