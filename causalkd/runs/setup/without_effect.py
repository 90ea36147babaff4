"""A search for keys that have no effect in a recipe, including keys of the shared training that no student inherits.

For each such key, a rule says what it needs to have an effect. Such a recipe is valid, and a study may need it, for
instance if a variant leaves an objective out; so a line about it is printed, and it is not refused. A key that is set
to its default cannot be distinguished from one that is left out.
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
    """A condition for a key to have an effect.

    Attributes:
        part: The path of the part of the recipe that has the key; `*` is every student, or every objective of one.
        key: The key in it.
        needs: The condition in words.
        acts: Whether the condition holds.
    """

    part: str
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
"""The rules, one for each such key."""


def without_effect(recipe: Recipe | FinetuneRecipe, kind: Task) -> list[str]:
    """A line for every key that has no effect in a recipe.

    Args:
        recipe: The recipe.
        kind: The kind of its models' predictions.
    """
    run = Run(recipe, kind)
    shared = [
        f"training.{key} is {getattr(recipe.training, key)!r} and has no effect in this recipe: every student sets it"
        for key in (recipe.not_inherited() if isinstance(recipe, Recipe) else ())
    ]
    return shared + [
        f"{path}.{rule.key} is {given!r} and has no effect in this recipe: it acts only with {rule.needs}"
        for rule in RULES
        if not rule.acts(run)
        for path, part in _parts(recipe, rule.part)
        if (field := type(part).model_fields.get(rule.key)) is not None
        if (given := getattr(part, rule.key)) != field.default
    ]


def _parts(recipe: Recipe | FinetuneRecipe, path: str) -> Iterator[tuple[str, Part]]:
    """The parts of a recipe that a path with `*` selects, with their own paths; none if the recipe has no such part."""
    wanted = path.removeprefix("students.*.objectives.")
    if wanted == path:
        if path in type(recipe).model_fields:
            yield path, getattr(recipe, path)
        return
    for student in recipe.students if isinstance(recipe, Recipe) else ():
        for name, objective in student.objectives.chosen().items():
            if wanted in ("*", name):
                yield f"students.{student.name}.objectives.{name}", objective
