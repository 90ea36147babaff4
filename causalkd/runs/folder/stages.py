"""The trainings of a run with the settings that each depends on: a started training continues only with the same."""

from pathlib import Path
from typing import Any

from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder

TEACHER, MODEL = "teacher", "model"
_FREE = {"report_to"}
"""The training settings that change no weight."""


def stages(recipe: Recipe | FinetuneRecipe) -> dict[str, dict[str, Any]]:
    """The settings that each training depends on, by its name: all but verification, output folder and the run's
    name.
    """
    if isinstance(recipe, FinetuneRecipe):
        return _finetuning_stages(recipe)
    data = recipe.data.model_dump(mode="json", exclude=unused_of_data(recipe))
    teacher = recipe.teacher.model_dump(mode="json", exclude={"training": _FREE})
    shared = {"data": data, "teacher": teacher}
    found: dict[str, dict[str, Any]] = {} if recipe.teacher.training is None else {TEACHER: shared}
    alignment = recipe.alignment if isinstance(recipe.alignment, str) else recipe.alignment.model_dump(mode="json")
    for part in recipe.students:
        student = part.model_dump(mode="json", exclude={"training"})
        training = recipe.training_of(part).model_dump(mode="json", exclude=_FREE)
        for seed in recipe.seeds:
            own = {"alignment": alignment, "student": student, "training": training, "seed": seed}
            own["several students"] = len(recipe.students) * len(recipe.seeds) > 1
            found[f"{part.name}-seed{seed}"] = {**shared, **own}
    return found


def goals(folder: RunFolder, recipe: Recipe | FinetuneRecipe) -> dict[str, Path]:
    """The folder of the finished model of each training, by the name of the training."""
    if isinstance(recipe, FinetuneRecipe):
        return {model_stage(seed): folder.model(recipe, seed) for seed in recipe.seeds}
    found = {} if recipe.teacher.training is None else {TEACHER: folder.teacher}
    for part in recipe.students:
        found |= {f"{part.name}-seed{seed}": folder.student(recipe, part.name, seed) for seed in recipe.seeds}
    return found


def unused_of_data(recipe: Recipe | FinetuneRecipe) -> set[str]:
    """The keys of the data that no training depends on: the number of held-out rows, if they choose no checkpoint."""
    if isinstance(recipe, FinetuneRecipe):
        trainings = [recipe.training]
    else:
        trainings = [recipe.training_of(part) for part in recipe.students]
        trainings += [] if recipe.teacher.training is None else [recipe.teacher.training]
    return set() if any(each.metric_for_best_model for each in trainings) else {"eval_limit"}


def model_stage(seed: int) -> str:
    """The name of a fine-tuning's training with a seed."""
    return f"{MODEL}-seed{seed}"


def begun(folder: RunFolder, recipe: Recipe | FinetuneRecipe) -> list[str]:
    """Names of the trainings of a recipe whose model or a checkpoint is in the folder."""
    found = goals(folder, recipe)
    return [name for name, goal in found.items() if goal.is_dir() or folder.last_checkpoint(name) is not None]


def differences(folder: RunFolder, before: Recipe | FinetuneRecipe, now: Recipe | FinetuneRecipe) -> list[str]:
    """The reasons why trainings that were started with one recipe cannot continue with another, one per line."""
    old, new = stages(before), stages(now)
    lines = []
    for name in begun(folder, before):
        if name not in new:
            lines.append(f"{name} was trained, but the recipe no longer contains it")
        elif new[name] != old[name]:
            lines.append(f"{name} was trained with other settings ({'; '.join(_changed(old[name], new[name]))})")
    return lines


def _finetuning_stages(recipe: FinetuneRecipe) -> dict[str, dict[str, Any]]:
    shared = {
        "data": recipe.data.model_dump(mode="json", exclude=unused_of_data(recipe)),
        "model": recipe.config if recipe.model is None else recipe.model,
        "training": recipe.training.model_dump(mode="json", exclude=_FREE),
        "several seeds": len(recipe.seeds) > 1,
    }
    return {model_stage(seed): {**shared, "seed": seed} for seed in recipe.seeds}


def _changed(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys((*old, *new))
        return [
            line
            for key in keys
            if old.get(key) != new.get(key)
            for line in _changed(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [f"{path} was {_short(old)}, is {_short(new)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
