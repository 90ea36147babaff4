"""A recipe's training becomes a trainer that reports to no tracker by default."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from causalkd.alignment.spec import Alignment
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import Weighted
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import TeacherCachePart, TrainingPart
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.prepare import build_alignment, build_student, build_teacher
from causalkd.runs.setup.trainer import _check_is_whole, _check_outside, _memory, build_trainer, task_only
from causalkd.training.callbacks import MetricsFile, SetEpoch, read_rows
from causalkd.training.progress import Progress
from causalkd.training.teacher_cache import TeacherCache
from causalkd.training.trainer import DistillationTrainer
from tests.shrunk import SHRUNK, TINY
from tests.tiny import tiny

MLP = Alignment.from_yaml(
    """
    name: inside
    positions: {policy: consecutive, fraction: 0.3}
    pairs:
      - name: mlp
        teacher: [{layer: 1, component: mlp_output, unit: pos}]
        student: [{layer: 0, component: mlp_output, unit: pos}]
    """
)


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    recipe = Recipe.load("quickstart", [*SHRUNK["quickstart"], *TINY])
    data = build_data(recipe.data, recipe.teacher)
    return {"recipe": recipe, "data": data, "teacher": build_teacher(recipe.teacher, data, "teacher")}


def _trainer(parts: dict[str, Any], folder: Path, student: int = 1, **training: Any) -> DistillationTrainer:
    recipe, data, teacher = parts["recipe"], parts["data"], parts["teacher"]
    part = recipe.students[student]
    model = build_student(part, teacher, data, 3)
    alignment = build_alignment(recipe.alignment, teacher, model)
    objectives = build_objectives(part.objectives, alignment, teacher, model, 3)
    given = TrainingPart.model_validate({"steps": 2, **training})
    return build_trainer(
        recipe, given, data, model, objectives, teacher=teacher, alignment=alignment,
        name=part.name, seed=3, folder=folder / "work", metrics=folder / "metrics.jsonl",
    )  # fmt: skip


@pytest.mark.parametrize("frozen", [(), ("*embeddings*",)])
def test_maps_are_learned_without_the_embeddings_too(parts: dict[str, Any], tmp_path: Path, frozen: tuple) -> None:
    """Before, a recipe that froze embeddings beside `adkd` was refused, with advice that no recipe can follow."""
    recipe, data, teacher = parts["recipe"], parts["data"], parts["teacher"]
    student = build_student(recipe.students[0], teacher, data, 3)
    before = {name: weight.detach().clone() for name, weight in student.model.named_parameters()}
    objectives = {"adkd": Weighted(1.0, ADKD(teacher, student))}
    training = TrainingPart.model_validate({"steps": 1, "logging_steps": 1, "warmup": 0.0, "freeze": frozen})
    trainer = build_trainer(
        recipe, training, data, student, objectives, teacher=teacher, alignment=None,
        name="kd", seed=3, folder=tmp_path / "work", metrics=tmp_path / "metrics.jsonl",
    )  # fmt: skip
    trainer.train()
    moved = {name for name, weight in student.model.named_parameters() if not torch.equal(weight, before[name])}
    assert any(".layer." in name for name in moved)
    assert any("embeddings" in name for name in moved) == (not frozen)
    term = read_rows(tmp_path / "metrics.jsonl")[0]["term/adkd"]
    assert term == pytest.approx(parts.setdefault("term", term))  # the same whatever is frozen


def test_a_student_is_watched_at_the_asked_rate(parts: dict[str, Any], tmp_path: Path) -> None:
    assert _trainer(parts, tmp_path)._watch is None
    # interventions change its predictions
    lively = ["teacher.config.initializer_range=0.6", "verification.eval_every_steps=2"]
    recipe = Recipe.load("quickstart", [*SHRUNK["quickstart"], *TINY, *lively])
    teacher = build_teacher(recipe.teacher, parts["data"], "teacher")
    given = {**parts, "recipe": recipe, "teacher": teacher}
    trainer = _trainer(given, tmp_path, steps=4, logging_steps=1, batch_size=4)
    trainer.train()
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "iia_effective/middle" in row] == [2, 4]
    assert all(0 <= row["iia_effective/middle"] <= 1 for row in rows[1::2]) and "loss" in rows[0]


def test_the_teachers_answers_are_kept_where_there_is_room_for_them(parts: dict[str, Any], tmp_path: Path) -> None:
    part = {"max_mib": 3, "top_k": 7, "states": True}
    memory = _trainer(parts, tmp_path, teacher_cache=part)._memory
    assert isinstance(memory, TeacherCache) and memory._limit == 3 * 2**20
    assert (memory.top_k, memory.states) == (7, True)
    assert not (tmp_path / "teacher_cache.sqlite").exists()
    _trainer(parts, tmp_path, teacher_cache={"max_mib": 3, "on_disk": True})
    assert (tmp_path / "teacher_cache.sqlite").is_file()  # beside the folders of all trainings
    assert _trainer(parts, tmp_path)._memory is None


def test_rows_that_are_masked_again_cannot_be_recalled() -> None:
    teacher = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher")
    with pytest.raises(ValueError, match=r"training.teacher_cache keeps .* a masked LM masks them anew in every epoch"):
        _memory(TeacherCachePart(max_mib=1), teacher, Path("unused"))


@pytest.mark.parametrize(("length", "steps", "epochs"), [({}, 2, 3.0), ({"steps": None, "epochs": 1.5}, -1, 1.5)])
def test_how_long_it_learns(parts: dict[str, Any], tmp_path: Path, length: dict, steps: int, epochs: float) -> None:
    args = _trainer(parts, tmp_path, **length).args
    assert (args.max_steps, args.num_train_epochs) == (steps, epochs)


def test_nobody_is_reported_to_and_no_row_is_printed(parts: dict[str, Any], tmp_path: Path) -> None:
    trainer = _trainer(parts, tmp_path)
    callbacks = trainer.callback_handler.callbacks
    assert trainer.args.report_to == []
    assert {type(each) for each in callbacks} >= {SetEpoch, MetricsFile, Progress}
    assert not [each for each in callbacks if type(each) in (ProgressCallback, PrinterCallback)]


def test_the_display_of_transformers_in_a_notebook_does_not_stand_beside_the_bar(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfNotebooks(ProgressCallback):
        """Stands in for the callback that transformers chooses there."""

    monkeypatch.setattr("transformers.trainer.DEFAULT_PROGRESS_CALLBACK", OfNotebooks)
    callbacks = _trainer(parts, tmp_path).callback_handler.callbacks
    assert [type(each) for each in callbacks if isinstance(each, ProgressCallback)] == [Progress]


@pytest.mark.parametrize(("student", "sources"), [(0, False), (1, True)])
def test_only_an_objective_that_intervenes_gets_sources(
    parts: dict[str, Any], tmp_path: Path, student: int, sources: bool
) -> None:
    batch = next(iter(_trainer(parts, tmp_path, student, batch_size=8).get_train_dataloader()))
    assert ("source_rows" in batch) == ("positions" in batch) == sources


def test_a_teacher_learns_its_task_alone(parts: dict[str, Any], tmp_path: Path) -> None:
    learner = build_teacher(parts["recipe"].teacher, parts["data"], "student")
    trainer = build_trainer(
        parts["recipe"], TrainingPart(steps=1), parts["data"], learner, task_only(), teacher=None, alignment=None,
        name="teacher", seed=0, folder=tmp_path, metrics=tmp_path / "metrics.jsonl",
    )  # fmt: skip
    assert list(trainer.objectives) == ["task"] and trainer.teacher is None


def test_blocks_are_compiled_where_nothing_looks_inside_them(parts: dict[str, Any], tmp_path: Path) -> None:
    assert _trainer(parts, tmp_path, compile_blocks=True)._compiled and not _trainer(parts, tmp_path)._compiled
    teacher = parts["teacher"]
    student = build_student(parts["recipe"].students[0], teacher, parts["data"], 3)
    given = TrainingPart.model_validate({"steps": 2, "compile_blocks": True})
    with pytest.raises(ValueError, match=r"compile_blocks is true, but the alignment names .*mlp.*, inside a block"):
        _check_outside(given, MLP, teacher, student)
    _check_outside(given.model_copy(update={"compile_blocks": False}), MLP, teacher, student)


def test_a_run_refuses_a_sharded_student() -> None:
    with pytest.raises(
        ValueError, match="FSDP is switched on, but a run's checkpoints are made by processes that hold"
    ):
        _check_is_whole(is_sharded=True)
