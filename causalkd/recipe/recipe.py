"""The recipe: everything that defines a run, read from YAML with every fault reported at once."""

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from causalkd.alignment.spec import Alignment
from causalkd.errors import fault_lines, is_file, listed, nearest, read_yaml, shown
from causalkd.files.html_table import html_table
from causalkd.recipe.commands import refusal
from causalkd.recipe.overrides import apply_change, fields_of, merged
from causalkd.recipe.part import Part
from causalkd.recipe.sections import (
    NAME,
    DataPart,
    Listed,
    LocalPath,
    Seed,
    StudentPart,
    TeacherPart,
    TrainingPart,
    VerificationPart,
)
from causalkd.recipe.shared_keys import inherited, not_inherited, swallowed

TAUGHT = ("sequences", "teacher_cache")
"""Keys of a training that act only where a model is taught by another."""
_SHIPPED = resources.files("causalkd") / "recipe" / "shipped"


class Recipe(Part):
    """A run: data, teacher, alignment, students, training, verification."""

    name: str = Field(pattern=NAME)
    """The name of the run folder."""
    data: DataPart = DataPart()
    """The data that the models read."""
    teacher: TeacherPart
    """The teacher: the model whose computation the students learn."""
    alignment: Alignment | LocalPath
    """An alignment, the path of its YAML file, or `middle`, `late`, `full`."""
    students: Listed[StudentPart] = Field(min_length=1)
    """The students; the others are compared with the first."""
    training: TrainingPart
    """The training of the students."""
    seeds: Listed[Seed] = Field(default=(0,), min_length=1)
    """The seeds; every student is trained once with each."""
    verification: VerificationPart = VerificationPart()
    """How the students are verified."""
    output: LocalPath | None = None
    """The run folder; None for `runs/<name>`."""

    @model_validator(mode="after")
    def _distinct(self) -> "Recipe":
        for what, names in (("students", [student.name for student in self.students]), ("seeds", list(self.seeds))):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} appear twice: {names}; give each once")
        taught = [
            f"`teacher.training.{key}`" for key in TAUGHT if getattr(self.teacher.training, key, None) is not None
        ]
        if taught:
            raise ValueError(
                f"{' and '.join(taught)} given, but nothing teaches the teacher; leave it out, or give it below "
                "`students`"
            )
        if self.data.tokenizer is not None and self.teacher.model is not None:
            raise ValueError(
                f"`data.tokenizer` is {self.data.tokenizer!r}, but the teacher {self.teacher.model!r} comes with one; "
                "leave `data.tokenizer` out"
            )
        return self

    @property
    def folder(self) -> Path:
        """The folder that the run is written to."""
        return Path(self.output or f"runs/{self.name}")

    def _repr_html_(self) -> str:
        """The students with their objectives, for a notebook."""
        rows = []
        for part in self.students:
            chosen = part.objectives.chosen().items()
            weights = ", ".join(f"{name} ({objective.weight:g})" for name, objective in chosen)
            begun = part.model or (f"layers {list(part.layers)}" if part.layers else "made from the teacher")
            rows.append((part.name, begun, weights))
        teacher = self.teacher.model or (self.teacher.config or {}).get("model_type", "")
        alignment = self.alignment.name if isinstance(self.alignment, Alignment) else self.alignment
        caption = (
            f"{self.name}: teacher {teacher}, data {self.data.data_name}, alignment {alignment}, seeds "
            f"{', '.join(map(str, self.seeds))}, in {self.folder}"
        )
        return html_table(caption, ("student", "begins as", "objectives (weight)"), rows)

    def training_of(self, student: StudentPart) -> TrainingPart:
        """The student's training: the recipe's, changed by the student's own keys; the student's `steps` or `epochs`
        replaces either of the recipe's.
        """
        shared = self.training.model_dump(exclude_unset=True)
        return TrainingPart.model_validate(inherited(shared, student.training))

    def not_inherited(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Keys of `training` that have no effect, since every student sets them itself; with what each sets instead."""
        shared = (key for key in TrainingPart.model_fields if key in self.training.model_fields_set)
        return not_inherited(shared, {part.name: part.training for part in self.students})

    def swallowed(self, fields: Mapping[str, Any], place: str = "") -> list[str]:
        """A line for each key of `training` that was given and has no effect; it says what to write instead.

        Args:
            fields: Dotted fields that were given as changes, with their values.
            place: What their names begin with where the recipe is a part of something, such as `distill.0.`.
        """
        own = f"{place}students.*.training"
        lines = swallowed(fields, f"{place}training", "student", own, self.not_inherited())
        return [f"{line}, or a student's name instead of *" for line in lines]

    @classmethod
    def load(cls, source: str | Path, changes: Sequence[str] = ()) -> "Recipe":
        """Read a shipped recipe by name, a YAML file or YAML text, and apply changes such as `training.steps=100`.

        Raises:
            ValueError: The recipe does not exist; it has faults, listed one per line with the nearest valid key; or a
                change sets a key that no student inherits.
        """
        data = read_mapping(source, changes)
        recipe = cls.parse(data, str(source))
        faults = recipe.swallowed(fields_of(changes))
        if faults:
            raise ValueError(listed(refusal("recipe", source, "distill", data), faults))
        return recipe

    @classmethod
    def parse(cls, data: Mapping[str, Any], origin: str = "recipe") -> "Recipe":
        """The recipe that plain data describe.

        Raises:
            ValueError: The data have faults; all are listed, one per line.
        """
        given, (data, faults) = data, _with_alignment(data)
        try:
            recipe = cls.model_validate(data)
        except ValidationError as error:
            faults += fault_lines(error, cls)
        else:
            for number, student in enumerate(recipe.students):
                try:
                    recipe.training_of(student)
                except ValidationError as error:
                    faults += fault_lines(error, TrainingPart, f"students[{number}].training")
            if not faults:
                return recipe
        raise ValueError(listed(refusal("recipe", origin, "distill", given), faults))


def read_mapping(
    source: str | Path | dict[str, Any], changes: Sequence[str] = (), beside: Path | None = None
) -> dict[str, Any]:
    """The plain data of a shipped recipe, a YAML file or YAML text, with changes like `training.steps=100`.

    A recipe with `extends`, the name of a shipped recipe or a file, has all keys of that one that it does not replace
    (see `causalkd.recipe.overrides.merged`). Files are also looked for in the folder of the file that names them.

    Raises:
        ValueError: There is no such recipe, it is not YAML or not a mapping, recipes extend one another, or a change
            cannot be made.
    """
    data = _with_extended(source, beside, {})
    for change in changes:
        apply_change(data, change)
    return data


def _with_extended(source: str | Path | dict[str, Any], beside: Path | None, seen: Mapping[str, str]) -> dict[str, Any]:
    """The data of a recipe with those that it extends; `seen` has their names as they were given, by their places."""
    if isinstance(source, dict):
        data = source
    else:
        found = _find(_beside(source, beside))
        beside = Path(found).parent if isinstance(found, Path) or is_file(Path(found)) else beside
        data = _read(found, source)
    if "extends" not in data:
        return data
    base, own = data["extends"], {key: value for key, value in data.items() if key != "extends"}
    if not isinstance(base, str):
        raise ValueError(f"`extends` is {base!r}; give the name of a shipped recipe, or a file")
    named = Path(_beside(base, beside))
    place = str(named.resolve()) if is_file(named) else base
    if place in seen:
        names = ", ".join((*seen.values(), base))
        raise ValueError(f"recipes extend one another in a circle: {names}; take one `extends` out")
    return merged(_with_extended(base, beside, {**seen, place: base}), own)


def _beside(source: str | Path, folder: Path | None) -> str | Path:
    text = str(source)
    if folder is None or text in shipped_recipes() or "\n" in text or not is_file(folder / text):
        return source
    return folder / text


def _read(found: str | Path, source: str | Path) -> dict[str, Any]:
    try:
        data = read_yaml(found)
    except ValueError as error:
        raise ValueError(f"recipe {source} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"a recipe is a mapping of keys, {source} holds {type(data).__name__}; see `causalkd schema`")
    return data


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml"))


def shipped_pipelines() -> list[str]:
    """The names of the pipelines that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in (_SHIPPED / "pipelines").iterdir())


def _find(source: str | Path) -> str | Path:
    if str(source) in shipped_recipes():
        return Path(str(_SHIPPED / f"{source}.yaml"))
    if str(source) in shipped_pipelines():
        return Path(str(_SHIPPED / "pipelines" / f"{source}.yaml"))
    text = os.path.expanduser(source)
    if "\n" not in text and ": " not in text and not is_file(Path(text)):
        known = [*shipped_recipes(), *shipped_pipelines()]
        raise ValueError(f"recipe {text!r} is neither a shipped recipe nor a file; {nearest(text, known)}")
    return source


def _with_alignment(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The data with an inline alignment parsed to an `Alignment`; if that fails, a placeholder and the alignment's
    faults.

    pydantic would report the faults of every type that is allowed there.
    """
    given = data.get("alignment")
    if not isinstance(given, Mapping):
        known = isinstance(given, str | Alignment) or "alignment" not in data
        fault = f"alignment: {shown(given)} given; name a file or middle, late, full, or write its keys here"
        return ({**data}, []) if known else ({**data, "alignment": ""}, [fault])
    try:
        return {**data, "alignment": Alignment.model_validate(given)}, []
    except ValidationError as error:
        return {**data, "alignment": ""}, fault_lines(error, Alignment, "alignment")
