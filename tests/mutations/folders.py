"""What is mutated: folders that commands have written and others read, made once, in seconds."""

from pathlib import Path

from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.finetune import finetune
from causalkd.runs.precompute import precompute
from tests.runs.test_finetune import RECIPE
from tests.shrunk import RESUMED, planted_model, shrunk


def checkpoint(base: Path) -> Path:
    """A stock checkpoint of two layers."""
    folder = base / "model"
    planted_model(num_hidden_layers=2).save_pretrained(folder)
    return folder


def finetuned(base: Path) -> Path:
    """A fine-tuning that is finished."""
    folder = base / "finetuned"
    finetune(FinetuneRecipe.parse({**RECIPE, "output": str(folder)}))
    return folder


def outputs(base: Path, model: Path) -> Path:
    """A teacher's precomputed outputs; `learning_from` says who learns from them."""
    folder = base / "precomputed"
    precompute(_learning(base / "never", model), folder)
    return folder


def learning_from(folder: Path, output: Path, model: Path) -> Recipe:
    """The recipe of a run that learns from the outputs in a folder."""
    return _learning(output, model, f"teacher.outputs={folder}")


def _learning(output: Path, model: Path, *changes: str) -> Recipe:
    given = [change for change in RESUMED if not change.startswith("teacher.")]
    own = ("teacher.config=null", "teacher.training=null", f"teacher.model={model}")
    return shrunk("quickstart", output, *own, *given, *changes)
