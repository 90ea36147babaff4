"""Keys of a recipe that do nothing in it, and keys of the shared training that no student inherits.

One rule a key says what the key acts together with. Such a recipe is right, and a study may need it, as where one of
its variants leaves an objective out; so it is said and not refused. A key that is given its default is not told from
one that is not given.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from causalkd.data.tasks.registry import TASKS
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.objective_entry import ObjectiveEntry
from causalkd.recipe.objectives import OBJECTIVES
from causalkd.recipe.part import Part
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, StudentPart
from causalkd.task_types import Task


@dataclass(frozen=True)
class Run:
    """A recipe and the kind of its predictions."""

    recipe: Recipe | FinetuneRecipe
    kind: Task

    @property
    def students(self) -> tuple[StudentPart, ...]:
        """The students; a fine-tuning has none."""
        return self.recipe.students if isinstance(self.recipe, Recipe) else ()

    @property
    def intervenes(self) -> bool:
        """Whether any student is trained by interventions."""
        return any(entry.interchanges for student in self.students for entry in entries_of(student))

    @property
    def draws_rows(self) -> bool:
        """Whether rows are generated or drawn by `data.seed`."""
        part = self.recipe.data
        generated = part.task is not None and part.task in TASKS and TASKS[part.task].generated is not None
        return generated or any((part.train_limit, part.eval_limit, part.heldout_share))

    @property
    def has_prompts(self) -> bool:
        """Whether rows may be instructions."""
        part: DataPart = self.recipe.data
        return part.kind == "instructions" if part.task is None else self.kind == "causal_lm"


def entries_of(student: StudentPart) -> list[ObjectiveEntry]:
    """The objectives of a student."""
    return [OBJECTIVES[name] for name in student.objectives.chosen()]


@dataclass(frozen=True)
class Rule:
    """A key that has an effect only together with something else.

    Attributes:
        place: The part of the recipe that has the key; `*` is every student, or every objective of one.
        key: The key in it.
        needs: What it acts together with, in words.
        acts: Whether that is there.
    """

    place: str
    key: str
    needs: str
    acts: Callable[[Run], bool]


RULES = (
    Rule("data", "sources", "an objective that intervenes, such as diito", lambda run: run.intervenes),
    Rule(
        "data",
        "group",
        "an objective that intervenes, with `sources: batch`",
        lambda run: run.intervenes and run.recipe.data.sources == "batch",
    ),
    Rule("data", "seed", "generated rows, a limit or `heldout_share`", lambda run: run.draws_rows),
    Rule(
        "data",
        "keep_validation",
        "`path` and `heldout_share`",
        lambda run: run.recipe.data.path is not None and run.recipe.data.heldout_share is not None,
    ),
    Rule("data", "prompt", "rows of kind instructions", lambda run: run.has_prompts),
    Rule(
        "teacher",
        "seed",
        "a teacher that is trained",
        lambda run: isinstance(run.recipe, Recipe) and run.recipe.teacher.training is not None,
    ),
    Rule(
        "training",
        "teacher_cache",
        "an objective that reads the teacher",
        lambda run: any(entry.reads_teacher for student in run.students for entry in entries_of(student)),
    ),
    Rule("verification", "tolerance", "a regression", lambda run: run.kind == "regression"),
    Rule(
        "students.*.objectives.response_kd",
        "divergence",
        "predictions of labels or tokens, and not of a number",
        lambda run: run.kind != "regression",
    ),
    Rule("students.*.objectives.*", "tokens", "predictions for each token", lambda run: run.kind in TOKEN_TASKS),
)
"""Every such key."""


def without_effect(recipe: Recipe | FinetuneRecipe, kind: Task) -> list[str]:
    """A line for every key of a recipe that does nothing in it.

    Args:
        recipe: The recipe.
        kind: What its models predict.
    """
    run = Run(recipe, kind)
    shared = [
        f"training.{key} is {getattr(recipe.training, key)!r} and has no effect in this recipe: every student sets it"
        for key in (recipe.not_inherited() if isinstance(recipe, Recipe) else ())
    ]
    return shared + [
        f"{place}.{rule.key} is {given!r} and has no effect in this recipe: it acts only with {rule.needs}"
        for rule in RULES
        if not rule.acts(run)
        for place, part in _parts(recipe, rule.place)
        if (field := type(part).model_fields.get(rule.key)) is not None
        if (given := getattr(part, rule.key)) != field.default
    ]


def _parts(recipe: Recipe | FinetuneRecipe, place: str) -> Iterator[tuple[str, Part]]:
    """The parts of a recipe that a place means, with their names; none where the recipe has no such place."""
    wanted = place.removeprefix("students.*.objectives.")
    if wanted == place:
        if place in type(recipe).model_fields:
            yield place, getattr(recipe, place)
        return
    for student in recipe.students if isinstance(recipe, Recipe) else ():
        for name, objective in student.objectives.chosen().items():
            if wanted in ("*", name):
                yield f"students.{student.name}.objectives.{name}", objective
