"""What the tests of attribution share: tiny models in float64, and views that suit their heads."""

from functools import cache

import torch

from causalkd.attribution.targets import CLASSES, Target, Views, class_views, token_views
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.task_types import Task
from tests.tiny import LABELS, tiny

POSITION = torch.tensor([3, 4, 3, 5])
"""A real token of each row of `tiny_inputs()` and of `tiny_inputs(3, 6)`, whichever side is padded."""


def hooked(
    architecture: str = "bert", task: Task = "classification", role: Role = "teacher", dropout: float = 0.0
) -> HookedModel:
    """Two layers in float64."""
    stock = tiny(architecture, task, layers=2, dtype=torch.float64, dropout=dropout)
    return HookedModel(stock, task=task, role=role)


shared = cache(hooked)
"""The same model at every call, for tests that leave its weights and modules as they are."""


def views_of(model: HookedModel, inputs: dict[str, torch.Tensor]) -> Views:
    """Every class, or the two likeliest tokens at one position of each row."""
    rows = len(inputs["input_ids"])
    if model.task in CLASSES:
        return class_views(1 if model.task == "regression" else LABELS, rows)
    logits = model.run(inputs).logits.detach()
    return token_views(logits[torch.arange(rows), POSITION[:rows]], POSITION[:rows], 2)


def target_of(task: Task) -> Target:
    return "logit" if task == "regression" else "probability"
