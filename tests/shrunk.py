"""The shipped recipes, shrunk to run in seconds, and tiny checkpoints to put into them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from filelock import FileLock
from transformers import TrainerCallback
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.models.configs import make_config
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import model_from_config
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup import trainer as set_up
from causalkd.task_types import Task

_TEACHER = "teacher.training"
_REAL = (
    *("data.train_limit=24", "data.eval_limit=12", "data.max_length=16", "seeds=[0]"),
    *("verification.pairs=12", "verification.batch_size=6", "training.logging_steps=1"),
    *(f"{_TEACHER}.epochs=null", f"{_TEACHER}.steps=1", f"{_TEACHER}.batch_size=4", "training.batch_size=4"),
)
_FOUR_STUDENTS = tuple(f"students.{name}.training.steps=1" for name in ("kd", "adkd", "diito", "adkd-diito"))
_INSTRUCTIONS = (
    *("data.train_limit=8", "data.eval_limit=4", "data.max_length=64", "data.prompt=chat"),
    *("verification.pairs=4", "verification.batch_size=4", "training.batch_size=4", "training.logging_steps=1"),
    "students.gkd.training={sequences: {generator: student, max_tokens: 3}}",
)
_ATKD = (
    *_INSTRUCTIONS,
    *("training.epochs=null", "training.steps=1", "training.gradient_accumulation=1", "training.precision=float32"),
    *(f"{_TEACHER}.epochs=null", f"{_TEACHER}.steps=1", f"{_TEACHER}.batch_size=4"),
    f"{_TEACHER}.gradient_accumulation=1",
)
_WRITTEN = "{sequences: {generator: %s, max_tokens: 3}}"
_ELEVEN = (
    *_ATKD,
    *(f"students.{name}.training={_WRITTEN % 'student'}" for name in ("imitkd", "atkd-gkd")),
    f"students.seqkd.training={_WRITTEN % 'teacher'}",
    "training.activation_checkpointing=false",
)
_GLUE = (
    *_REAL[:2],
    "data.max_length=32",
    "verification.pairs=8",
    "verification.batch_size=4",
    "training.logging_steps=1",
    *(f"{_TEACHER}.epochs=null", f"{_TEACHER}.steps=1", f"{_TEACHER}.batch_size=4", "training.batch_size=4"),
    *("training.epochs=2", "training.precision=float32"),
)
_TEXT = (
    *("data.train_limit=16", "data.eval_limit=8", "data.max_length=32", "seeds=[0]"),
    *("verification.pairs=8", "verification.batch_size=4", "training.epochs=null", "training.steps=1"),
    *("training.batch_size=4", "training.gradient_accumulation=2", "training.precision=float32"),
)
_STORIES = (
    *("data.train_limit=64", "data.eval_limit=24", "verification.pairs=40", "verification.batch_size=20"),
    *(f"{_TEACHER}.steps=4", f"{_TEACHER}.batch_size=16", "training.batch_size=16", "training.logging_steps=2"),
    *("teacher.config.n_embd=16", "teacher.config.n_head=2", "teacher.config.n_inner=16"),
)
SHRUNK: dict[str, tuple[str, ...]] = {
    "quickstart": (
        *("data.train_limit=96", "data.eval_limit=24", "verification.pairs=40", "verification.batch_size=20"),
        *(f"{_TEACHER}.steps=6", f"{_TEACHER}.batch_size=16", "training.batch_size=16", "training.logging_steps=2"),
        *("students.kd.training.steps=6", "students.diito.training.steps=4"),
    ),
    "quickstart-lm": (
        *_STORIES,
        *("students.kd.training.steps=3", "students.atkd.training.steps=3", "students.diito.training.steps=2"),
    ),
    "planted-lm-methods": (
        *(*_STORIES, "training.steps=1", "seeds=[0]"),
        "students.gkd.training={sequences: {generator: student, max_tokens: 3}}",
    ),
    "sst2-minilm": (*_REAL, *(f"students.{name}.training.steps=2" for name in ("kd", "kd-steps", "diito"))),
    "adkd-minilm-mnli": (*_REAL, *_FOUR_STUDENTS),
    "adkd-minilm-mrpc": (*_REAL, *_FOUR_STUDENTS),
    **{f"atkd-{family}": _ELEVEN for family in ("opt", "opt-2.7b", "opt-6.7b", "pythia", "pythia-2.8b", "llama")},
    **{f"adkd-{task}": _GLUE for task in ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")},
    **{f"diito-bert-{depth}l-{name}": _TEXT for depth in (3, 6) for name in ("middle", "late", "full")},
    "smollm2": (*_INSTRUCTIONS, "training.steps=1", "seeds=[0]"),
}
"""What makes each shipped recipe small, as for `--set`."""
_OF_PAPERS = ("atkd-", "adkd-", "diito-", "smollm2")
OF_HUB_MODELS = tuple(name for name in SHRUNK if name.startswith(_OF_PAPERS) and "minilm" not in name)
"""Recipes whose models are not here; the tests in tests/recipe run them with tiny ones in their place."""

TINY = tuple(
    f"teacher.config.{key}={value}"
    for key, value in {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}.items()
)
"""What makes the quickstart's models small."""

RESUMED = (
    *TINY,
    *("teacher.config.num_hidden_layers=2", "teacher.config.hidden_dropout_prob=0.2", "teacher.training.steps=5"),
    *("data.train_limit=40", "data.eval_limit=8", "verification.pairs=8", "verification.batch_size=4"),
    *("training.batch_size=8", "teacher.training.batch_size=8"),  # 5 steps an epoch
    *("training.save_steps=2", "teacher.training.save_steps=2"),
    *("training.logging_steps=1", "teacher.training.logging_steps=1"),
    "students=[{name: only, layers: [0, 1], training: {steps: 8}, objectives: {response_kd: {}, diito: {weight: 2}}}]",
    "alignment=middle",
)
"""What makes the quickstart a run with dropout whose one student trains over more than an epoch, in seconds."""


def shrunk(name: str, output: Path, *changes: str) -> Recipe:
    """A shipped recipe, shrunk, that writes into `output`."""
    return Recipe.load(name, [*SHRUNK[name], f"output={output}", *changes])


def planted_model(task: Task = "classification", labels: tuple[str, ...] | None = None, **settings: Any) -> HookedModel:
    """A tiny random BERT for the planted task, with its tokenizer."""
    tokenizer = PlantedNLI().tokenizer()
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
    config = make_config({"model_type": "bert", "num_hidden_layers": 2, **sizes, **settings}, tokenizer)
    labels = labels if labels or task != "classification" else PlantedNLI().label_names
    return model_from_config(config, tokenizer, task=task, role="student", labels=labels)


class Interrupt(TrainerCallback):
    """Strikes at the end of a step, or right after saving at it."""

    def __init__(self, step: int, after_saving: bool) -> None:
        self._step, self._event = step, "on_train_end" if after_saving else "on_step_end"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._strike("on_step_end", state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._strike("on_train_end", state)

    def _strike(self, event: str, state: Any) -> None:
        if event == self._event and state.global_step == self._step:
            raise KeyboardInterrupt


def interrupted(name: str, step: int, after_saving: bool = False) -> Callable[..., Any]:
    """A `build_trainer` whose training of `name` is interrupted at the end of a step, or right after saving at it."""

    def build_trainer(*args: Any, **options: Any) -> Any:
        trainer = set_up.build_trainer(*args, **options)
        if options["name"] == name:
            trainer.add_callback(Interrupt(step, after_saving))
        return trainer

    assert runs.build_trainer is set_up.build_trainer
    return build_trainer


class FinishedRun(NamedTuple):
    """A run that is done; tests read its folder and change nothing in it."""

    folder: RunFolder
    recipe: Recipe
    told: str
    """What the command line printed."""


def finished_run(name: str, base: Path, page: bool = True) -> FinishedRun:
    """The shrunk run of a shipped recipe below `base`, made by whoever comes first: test processes share it.

    Drawing its page takes seconds, and may be left out.
    """
    output, told = base / name, base / f"{name}.txt"
    with FileLock(base / f"{name}.lock"):
        if not told.is_file():
            changes = [part for change in (*SHRUNK[name], f"output={output}") for part in ("--set", change)]
            with nullcontext() if page else patch("analysis.pages.report_page.render", lambda *_: ""):
                done = CliRunner().invoke(app, ["distill", name, *changes], catch_exceptions=False)
            assert done.exit_code == 0, done.output
            told.write_text(done.output)
    return FinishedRun(RunFolder(output), shrunk(name, output), told.read_text())
