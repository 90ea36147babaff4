"""The builder of a recipe's objectives, by the table in `recipe/objectives.py`."""

from collections.abc import Iterable

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.recipe.objectives import OBJECTIVES, ObjectivesPart
from causalkd.registries import imported


def interchanging(objectives: Iterable[str]) -> list[str]:
    """Those of the named objectives that intervene, and therefore need sources and positions in their batches."""
    return [name for name in objectives if name in OBJECTIVES and OBJECTIVES[name].interchanges]


def build_objectives(
    part: ObjectivesPart, alignment: Alignment, teacher: HookedModel, student: HookedModel, seed: int
) -> dict[str, Weighted]:
    """Build the student's objectives with their weights.

    Raises:
        ValueError: The alignment does not fit the models, or an objective does not fit their widths.
    """
    given = {
        "alignment": resolve(alignment, teacher, student),
        "teacher": teacher,
        "student": student,
        "seed": seed,
    }
    built = {}
    for name, chosen in part.chosen().items():
        entry, settings = OBJECTIVES[name], chosen.model_dump(exclude={"weight"})
        objective = imported(entry.build)(**{taken: given[taken] for taken in entry.takes}, **settings)
        built[name] = Weighted(chosen.weight, objective)
    return built
