"""A recipe's objectives become objects; the one table of what a recipe can name."""

from collections.abc import Callable, Mapping
from typing import Any

from causalkd.alignment.resolve import ResolvedAlignment, resolve
from causalkd.alignment.spec import Alignment
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Objective, Weighted
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.recipe.objectives import ObjectivesPart

# Every objective a recipe can name: (settings, alignment, teacher, student, seed) → objective.
OBJECTIVES: dict[str, Callable[[Mapping[str, Any], ResolvedAlignment, HookedModel, HookedModel, int], Objective]] = {
    "task": lambda settings, alignment, teacher, student, seed: TaskLoss(),
    "response_kd": lambda settings, alignment, teacher, student, seed: ResponseKD(**settings),
    "atkd": lambda settings, alignment, teacher, student, seed: ATKD(**settings),
    "dkd": lambda settings, alignment, teacher, student, seed: DKD(**settings),
    "hidden_kd": lambda settings, alignment, teacher, student, seed: HiddenKD(teacher, student, seed=seed, **settings),
    "diito": lambda settings, alignment, teacher, student, seed: DIITO(
        alignment, teacher, student, seed=seed, **settings
    ),
    "diito_hidden": lambda settings, alignment, teacher, student, seed: DIITOHidden(
        alignment, teacher, student, seed=seed, **settings
    ),
    "adkd": lambda settings, alignment, teacher, student, seed: ADKD(teacher, student, seed=seed, **settings),
}
# Those that exchange activations, and so need sources and positions in their batches.
INTERCHANGING = frozenset({"diito", "diito_hidden"})


def build_objectives(
    part: ObjectivesPart, alignment: Alignment, teacher: HookedModel, student: HookedModel, seed: int
) -> dict[str, Weighted]:
    """The student's objectives with their weights.

    Raises:
        ValueError: The alignment does not fit the models, or an objective does not fit their widths.
    """
    resolved = resolve(alignment, teacher, student)
    built = {}
    for name, chosen in part.chosen().items():
        settings = chosen.model_dump(exclude={"weight"})
        built[name] = Weighted(chosen.weight, OBJECTIVES[name](settings, resolved, teacher, student, seed))
    return built
