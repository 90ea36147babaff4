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
from causalkd.recipe.pipeline import PipelineRecipe
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
            `training` is also that of each student.
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
"""The rules, one for each such key."""


def without_effect(recipe: Recipe | FinetuneRecipe, kind: Task) -> list[str]:
    """A line for every key that has no effect in a recipe.

    Args:
        recipe: The recipe.
        kind: The kind of its models' predictions.
    """
    shared = [
        f"training.{key} is {getattr(recipe.training, key)!r} and has no effect in this recipe: every student sets it"
        for key in (recipe.not_inherited() if isinstance(recipe, Recipe) else ())
    ]
    return shared + [
        f"{path}.{rule.key} is {given!r} and has no effect in this recipe: it acts only with {rule.needs}"
        for rule in RULES
        for path, part, of in _parts(recipe, rule)
        if not rule.acts(Run(of, kind))
        if (field := type(part).model_fields.get(rule.key)) is not None
        if (given := getattr(part, rule.key)) != field.default
    ]


def without_effect_in_tasks(recipe: PipelineRecipe) -> list[str]:
    """A line for every key that the tasks of a pipeline share and each sets itself."""
    return [
        f"finetune.{part}.{key} is {getattr(recipe.finetune, part)[key]!r} and has no effect: every task sets it"
        for part, keys in recipe.not_inherited().items()
        for key in keys
    ]


def _parts(recipe: Recipe | FinetuneRecipe, rule: Rule) -> Iterator[tuple[str, Part, Recipe | FinetuneRecipe]]:
    """The parts of a recipe that a rule is about, with their own paths, and the recipe with the students that have the
    part; none if the recipe has no such part.
    """
    students = recipe.students if isinstance(recipe, Recipe) else ()
    wanted = rule.part.removeprefix("students.*.objectives.")
    if wanted != rule.part:
        for student in students:
            for name, objective in student.objectives.chosen().items():
                if wanted in ("*", name):
                    yield f"students.{student.name}.objectives.{name}", objective, recipe
    elif rule.part == "training" and isinstance(recipe, Recipe):
        own = [student for student in students if rule.key in student.training]
        heirs = tuple(student for student in students if student not in own)
        if heirs:  # without any, the key does nothing whatever the rule says
            yield "training", recipe.training, recipe.model_copy(update={"students": heirs})
        for student in own:
            alone = recipe.model_copy(update={"students": (student,)})
            yield f"students.{student.name}.training", recipe.training_of(student), alone
    elif rule.part in type(recipe).model_fields:
        yield rule.part, getattr(recipe, rule.part), recipe
