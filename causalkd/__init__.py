"""Causal distillation of language models: the public names.

Importing this package executes nothing: a name is imported from its module when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalkd.alignment.interchange import interchange
    from causalkd.alignment.resolve import resolve
    from causalkd.alignment.spec import Alignment
    from causalkd.build import distill, verify
    from causalkd.data.batch import Batch
    from causalkd.models.hooked import HookedModel
    from causalkd.models.load import load_model, student_from_teacher
    from causalkd.objectives.diito import DIITO
    from causalkd.objectives.hidden_kd import HiddenKD
    from causalkd.objectives.response_kd import ResponseKD
    from causalkd.recipe import Recipe
    from causalkd.training.trainer import DistillationTrainer

__all__ = [
    "DIITO",
    "Alignment",
    "Batch",
    "DistillationTrainer",
    "HiddenKD",
    "HookedModel",
    "Recipe",
    "ResponseKD",
    "distill",
    "interchange",
    "load_model",
    "resolve",
    "student_from_teacher",
    "verify",
]

_MODULE_OF = {
    "Alignment": "causalkd.alignment.spec",
    "Batch": "causalkd.data.batch",
    "DIITO": "causalkd.objectives.diito",
    "DistillationTrainer": "causalkd.training.trainer",
    "HiddenKD": "causalkd.objectives.hidden_kd",
    "HookedModel": "causalkd.models.hooked",
    "Recipe": "causalkd.recipe",
    "ResponseKD": "causalkd.objectives.response_kd",
    "distill": "causalkd.build",
    "interchange": "causalkd.alignment.interchange",
    "load_model": "causalkd.models.load",
    "resolve": "causalkd.alignment.resolve",
    "student_from_teacher": "causalkd.models.load",
    "verify": "causalkd.build",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'causalkd' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value  # the next access finds it at once
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
