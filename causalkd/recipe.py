"""Recipe: everything a run is made of, read from YAML with every fault reported at once."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from causalkd.alignment.faults import fault_lines, read_yaml
from causalkd.alignment.spec import Alignment
from causalkd.models.places import nearest
from causalkd.recipe_parts import DataPart, Part, StudentPart, TeacherPart, TrainingPart, VerificationPart

_SHIPPED = resources.files("causalkd") / "recipes"


class Recipe(Part):
    """A run: data, teacher, alignment, students, training, verification."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    """Names the run folder."""
    data: DataPart = DataPart()
    """What the models read."""
    teacher: TeacherPart
    """The model whose computation is copied."""
    alignment: Alignment | str
    """An alignment, the path of its YAML file, or `middle`, `late`, `full`."""
    students: tuple[StudentPart, ...] = Field(min_length=1)
    """The students; the first is the one the others are compared with."""
    training: TrainingPart
    """How the students learn."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Every student is trained once with each."""
    verification: VerificationPart = VerificationPart()
    """On what the claim is tested."""
    output: str | None = None
    """The run folder; None for `runs/<name>`."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, names in (("students", [student.name for student in self.students]), ("seeds", list(self.seeds))):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} are named twice: {names}")
        return self

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.output or f"runs/{self.name}")

    def training_of(self, student: StudentPart) -> TrainingPart:
        """The recipe's training with the student's own keys."""
        return TrainingPart.model_validate({**self.training.model_dump(exclude_unset=True), **student.training})

    @classmethod
    def load(cls, source: str | Path, changes: Sequence[str] = ()) -> Self:
        """Reads a shipped recipe by name, a YAML file or YAML text, and applies changes like `training.steps=100`.

        Raises:
            ValueError: No such recipe, or every fault in it, one a line, with the nearest valid key.
        """
        data = read_yaml(_find(source))
        if not isinstance(data, dict):
            raise ValueError(f"a recipe is a mapping of keys, {source} holds {type(data).__name__}; see `causalkd schema`")
        for change in changes:
            _apply(data, change)
        return cls.parse(data, str(source))

    @classmethod
    def parse(cls, data: Mapping[str, Any], origin: str = "recipe") -> Self:
        """The recipe of plain data.

        Raises:
            ValueError: Every fault, one a line.
        """
        faults: list[str] = []
        try:
            recipe = cls.model_validate(data)
        except ValidationError as error:
            faults = fault_lines(error, cls)
        else:
            for number, student in enumerate(recipe.students):
                try:
                    recipe.training_of(student)
                except ValidationError as error:
                    faults += fault_lines(error, TrainingPart, f"students[{number}].training")
            if not faults:
                return recipe
        raise ValueError(f"recipe {origin} cannot be used:\n" + "\n".join(f"- {fault}" for fault in faults))

    def to_yaml(self) -> str:
        """The complete recipe, defaults included; loads to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml"))


def _find(source: str | Path) -> str | Path:
    if str(source) in shipped_recipes():
        return Path(str(_SHIPPED / f"{source}.yaml"))
    text = str(source)
    if "\n" not in text and ": " not in text and not Path(text).is_file():
        raise ValueError(f"there is no recipe {text!r}: it is no file, and {nearest(text, shipped_recipes())}")
    return source


def _apply(data: dict[str, Any], change: str) -> None:
    """Puts `a.b.0.c=value` into the data; the value is read as YAML."""
    path, separator, value = change.partition("=")
    if not separator or not path:
        raise ValueError(f"change {change!r} has no value; write KEY.KEY=VALUE, such as training.steps=100")
    *parents, last = path.split(".")
    target: Any = data
    for key in parents:
        target = target[_key(target, key, change)] if isinstance(target, list) else target.setdefault(key, {})
    if isinstance(target, list):
        target[_key(target, last, change)] = yaml.safe_load(value)
    elif isinstance(target, dict):
        target[last] = yaml.safe_load(value)
    else:
        raise ValueError(f"change {change!r}: {'.'.join(parents)} is {target!r} and holds no keys")


def _key(items: list[Any], key: str, change: str) -> int:
    """The place of a list item, by number or by the item's name."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise ValueError(f"change {change!r}: {key!r} is no item of a list of {len(items)}; items are numbered from 0")
