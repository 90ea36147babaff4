"""A study: which recipes are compared, over which settings and seeds, at which equal budget; strict, frozen data."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from causalkd.alignment.spec import Alignment
from causalkd.errors import fault_lines, listed, nearest, read_yaml
from causalkd.recipe.commands import refusal
from causalkd.recipe.overrides import LENGTHS, set_field
from causalkd.recipe.part import Part
from causalkd.recipe.recipe import Recipe, read_mapping, shipped_recipes
from causalkd.recipe.sections import NAME, Listed, LocalPath, Seed
from causalkd.recipe.study_fields import SetField, overlaps
from causalkd.recipe.study_parts import BudgetPart, ChoosePart, EvaluationPart, PowerPart, with_length


class Study(Part):
    """The definition of a grid of runs: variants of a recipe × values of its fields × seeds."""

    name: str = Field(pattern=NAME)
    """Names the study's folder."""
    recipe: LocalPath
    """The recipe that all cells are made from: the name of a shipped recipe, or a file, looked for in the folder of the
    study's file first."""
    variants: Mapping[str, Mapping[str, Any]] = {}
    """Named sets of changes that belong together, each a mapping of dotted fields to values, as `--set` takes them."""
    grid: Mapping[str, Listed[Any]] = {}
    """Dotted fields of the recipe, as `--set` names them, with the values that each takes in turn."""
    seeds: Listed[Seed] = Field(default=(0,), min_length=1)
    """Every variant and setting is run once with each seed."""
    teacher_seeds: bool = False
    """Train the teacher with the seed of the cell as well; false trains it once for all seeds."""
    budget: BudgetPart | None = None
    """The training budget of every student; None leaves the lengths of training as in the recipe."""
    references: Listed[str] = ()
    """The references of all comparisons: a student (the others of its variant are compared with it), a variant
    (students of other variants are compared with its student of the same name), or one `VARIANT/STUDENT`. If empty,
    the first."""
    choose: ChoosePart | None = None
    """Settings that are chosen for each method before the study; None keeps those of the recipe."""
    power: PowerPart | None = None
    """How the smallest detectable difference is calculated before the study runs; None skips the calculation."""
    measure_at: Mapping[str, Alignment] = {}
    """Alignments at whose declared pairs the students of every cell are measured too, whatever they were trained on.
    Variants with different alignments can so be compared, also at sites and positions that none was trained on."""
    evaluate: Listed[EvaluationPart] = ()
    """Further tasks on which every model is measured."""
    output: LocalPath | None = None
    """The folder; None for `studies/<name>`."""
    is_choice: bool = False
    """Whether another study chooses settings in this one; `choose` sets it in the study in the folder `choosing`."""

    @model_validator(mode="after")
    def _distinct(self) -> "Study":
        faults = [f"seeds are named twice: {list(self.seeds)}; give each once"] if _twice(self.seeds) else []
        faults += [
            f"grid.{field} has no values; give at least one" for field, values in self.grid.items() if not values
        ]
        faults += [
            f"grid.{field} has a value twice: {list(values)}; give each once"
            for field, values in self.grid.items()
            if _twice([json.dumps(value, sort_keys=True, default=str) for value in values])
        ]
        named = {"variant": self.variants, "place of measure_at": self.measure_at}
        faults += [
            f"{what} {name!r} is no name; {_NAMES}"
            for what, names in named.items()
            for name in names
            if not re.match(NAME, name)
        ]
        wanted = 0 if self.power is None else self.power.pilot_seeds or 2
        if wanted > len(self.seeds):
            faults.append(f"power needs {wanted} seeds, there are {len(self.seeds)}; give more `seeds`")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _overlaps(self, settings: Sequence[Mapping[str, Any]]) -> list[str]:
        """Fields that set the same key, or a key that the study itself sets in every cell: one would have no effect."""
        faults = []
        for (variant, changes), setting in product((self.variants or {"": {}}).items(), settings):
            try:
                students = _changed(read_mapping(self.recipe), {**changes, **setting}).get("students")
            except ValueError:  # it is reported with the other faults of the cell
                continue
            names = [str(each.get("name")) if isinstance(each, Mapping) else "" for each in students or ()]
            groups = [[SetField(f"variants.{variant}.{name}", name, value) for name, value in changes.items()]]
            groups += [[SetField(f"grid.{name}", name, value)] for name, value in setting.items()]
            groups += [
                [SetField(f"choose.fields.{name}", f"students.*.{name}", values[0])]
                for name, values in (self.choose.fields if self.choose else {}).items()
            ]
            faults += overlaps([*groups, self._fields_of_its_own()], names)
        return list(dict.fromkeys(faults))

    def _fields_of_its_own(self) -> list[SetField]:
        own = {"name": "cells are named by the study", "output": "cells lie in the study's folder"}
        own["seeds"] = "give `seeds` of the study"
        if self.teacher_seeds:
            own["teacher.seed"] = "with `teacher_seeds` it is the seed of the cell"
        if self.budget is not None and not self.is_choice:  # when choosing, its own budget replaces the lengths
            own |= {f"students.*.training.{unit}": "the `budget` decides how long students train" for unit in LENGTHS}
        return [SetField("", field, None, reason) for field, reason in own.items()]

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return Path(self.output or f"studies/{self.name}")

    @classmethod
    def load(cls, source: str | Path) -> "Study":
        """Reads a study's file; a recipe that is a file is looked for in the same folder first.

        Raises:
            ValueError: No such file, or every fault in it, one a line, with the nearest valid key.
        """
        study = cls.read(source)
        study.cells()
        study.choosing().cells()
        return study

    @classmethod
    def read(cls, source: str | Path) -> "Study":
        """The same without a look at the recipe.

        Raises:
            ValueError: No such file, or faults in it.
        """
        data = read_yaml(source if isinstance(source, Path) else Path(source))
        if not isinstance(data, dict):
            raise ValueError(f"a study is a mapping of keys, {source} holds {type(data).__name__}")
        try:
            places = data.get("measure_at") or {}
            if isinstance(places, dict):
                places = {name: Alignment.model_validate(each) for name, each in places.items()}
            study = cls.model_validate({**data, "measure_at": places})
        except ValidationError as error:
            raise ValueError(listed(refusal("study", source, "study", data), fault_lines(error, cls))) from None
        beside = Path(source).parent / study.recipe
        is_beside = study.recipe not in shipped_recipes() and beside.is_file()
        return study.model_copy(update={"recipe": str(beside)}) if is_beside else study

    def choosing(self) -> "Study":
        """The study in which the settings are chosen: the same grid, with each setting that is tried, on parts of the
        training examples; the study itself if none are chosen.
        """
        part = self.choose
        if part is None:
            return self
        tried = {f"students.*.{field}": values for field, values in part.fields.items()}
        changes: dict[str, Any] = {"choose": None, "power": None, "evaluate": (), "measure_at": {}}
        # Last, so that a grid of whole `data` does not undo it.
        changes |= {"grid": {**self.grid, **tried, HELD_OUT: (part.share,)}, "seeds": part.seeds}
        changes |= {"name": f"{self.name[:90]}-choosing", "output": str(self.folder / "choosing")}
        return self.model_copy(update={**changes, "budget": part.budget or self.budget, "is_choice": True})

    def cells(self, chosen: "Choices | None" = None) -> tuple["Cell", ...]:
        """Every cell of the grid, seeds innermost.

        Args:
            chosen: The settings of each method in each setting of the grid, by `choice_key`.

        Raises:
            ValueError: Recipes cannot be used, with every fault of each; or a reference does not exist.
        """
        settings = [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]
        cells: list[Cell] = []
        faults = self._overlaps(settings)
        if faults:
            raise ValueError("\n".join(faults))
        for variant, changes in (self.variants or {"": {}}).items():
            for setting in settings:
                try:
                    recipe = self._recipe(variant, {**changes, **setting}, chosen or {}, setting)
                except ValueError as error:
                    faults.append(f"{_named(variant, setting)}{error}")
                    continue
                cells += [self._cell(variant, setting, recipe, seed) for seed in self.seeds]
        first = {cell.name: cell for cell in reversed(cells)}
        faults += [
            f"grid: {_said(cell.setting)} and {_said(first[cell.name].setting)} are the same run; leave one of them out"
            for cell in cells
            if cell is not first[cell.name] and not self.is_choice
        ]
        if faults:
            raise ValueError("\n".join(faults))
        self._check_references(cells)
        return tuple(cells)

    def _recipe(
        self, variant: str, changes: Mapping[str, Any], chosen: "Choices", setting: Mapping[str, Any]
    ) -> Recipe:
        data = _changed(read_mapping(self.recipe), changes)
        recipe = Recipe.parse(data, self.recipe)
        faults = recipe.swallowed(changes) + ([] if self.choose is None else self.choose.faults(recipe))
        if faults:
            raise ValueError("; ".join(faults))
        for number, part in enumerate(recipe.students):
            _changed(data["students"][number], chosen.get(choice_key(variant, part.name, setting), {}))
        # The study holds out the default validation rows of data without a split of this name.
        if self.is_choice and recipe.data.path is not None and "validation" not in recipe.data.splits:
            set_field(data, "data.keep_validation", True)
        return Recipe.parse(data, self.recipe)

    def _cell(self, variant: str, setting: Mapping[str, Any], recipe: Recipe, seed: int) -> "Cell":
        seeded: dict[str, Any] = {"seeds": (seed,), "output": None}
        if self.teacher_seeds:
            seeded["teacher"] = recipe.teacher.model_copy(update={"seed": seed})
        recipe = recipe.model_copy(update=seeded)
        if self.budget is not None and self.budget.unit in LENGTHS:
            recipe = with_length(
                recipe, {part.name: {self.budget.unit: self.budget.amount} for part in recipe.students}
            )
        # Without defaults, so that cells keep their names when a version adds a key.
        content = recipe.model_dump(mode="json", exclude={"name", "output"}, exclude_defaults=True)
        budget = None if self.budget is None else self.budget.model_dump(mode="json")
        if budget is not None and budget["operations"] is None:
            del budget["operations"]  # so that cells made before this key existed keep their names
        digest = hashlib.sha256(json.dumps([content, budget], sort_keys=True).encode()).hexdigest()[:10]
        name = f"{variant or recipe.name}-seed{seed}-{digest}"
        output = str(self.folder / "cells" / name)
        return Cell(name, variant, setting, seed, recipe.model_copy(update={"name": name, "output": output}))

    def _check_references(self, cells: "list[Cell]") -> None:
        known = {name for cell in cells for part in cell.recipe.students for name in cell.names_of(part.name)}
        faults = [
            f"there is no {name!r}; {nearest(name, sorted(known))}" for name in self.references if name not in known
        ]
        if faults:
            raise ValueError(f"references: {'; '.join(faults)}")


HELD_OUT = "data.heldout_share"
"""The field that makes a recipe hold out a part of its training examples."""
Choices = Mapping[str, Mapping[str, Any]]
"""The chosen fields of students, by `choice_key`."""


def choice_key(variant: str, student: str, setting: Mapping[str, Any]) -> str:
    """Names one student of one variant in one setting of the study's own grid."""
    return json.dumps([variant, student, dict(setting)], sort_keys=True, default=str)


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    name: str
    """The name of its folder; it ends in a digest of everything that the run depends on."""
    variant: str
    """Empty if the study has none."""
    setting: Mapping[str, Any]
    """The values of the grid's fields."""
    seed: int
    recipe: Recipe

    def method(self, student: str) -> str:
        """The name of a student of this cell in tables: the variant, and the student if there are several."""
        alone = len(self.recipe.students) == 1
        return (self.variant if alone else f"{self.variant}/{student}") if self.variant else student

    def names_of(self, student: str) -> set[str]:
        """The names by which a student of this cell can be referred to."""
        return {self.method(student), student, *([self.variant] if self.variant else [])}


_NAMES = "use up to 100 letters, digits, `_`, `.` and `-`, the last two not at the start"


def _changed(data: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The data with changed dotted fields."""
    for field, value in changes.items():
        set_field(data, field, value)
    return data


def _twice(values: Any) -> bool:
    return len(set(values)) < len(values)


def _named(variant: str, setting: Mapping[str, Any]) -> str:
    said = [*([f"variant {variant!r}"] if variant else []), *([_said(setting)] if setting else [])]
    return f"{', '.join(said)}: " if said else ""


def _said(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{field} {value!r}" for field, value in setting.items())
