"""The data and models of a recipe, built once and shared by preflight, training and verification."""

import copy
from dataclasses import dataclass

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.prepare import build_teacher


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data and the teacher of a recipe.

    Attributes:
        data: Both splits, and the tokenizer.
        teacher: The frozen model; if the recipe trains the teacher first, as it is before that.
        learner: The model that becomes the teacher by its training; None if the teacher is trained already.
    """

    data: Data
    teacher: HookedModel
    learner: HookedModel | None = None


def prepare(recipe: Recipe) -> Prepared:
    """Builds the data and the teacher of a recipe.

    Raises:
        ValueError: The data, the checkpoint or its head do not exist.
    """
    data = build_data(recipe.data, recipe.teacher, recipe.students)
    if recipe.teacher.training is None:
        return Prepared(data, build_teacher(recipe.teacher, data, "teacher"))
    learner = build_teacher(recipe.teacher, data, "student")
    frozen = HookedModel(copy.deepcopy(learner.model), learner.tokenizer, task=learner.task, role="teacher")
    return Prepared(data, frozen, learner)
