"""Runs whose students have a tokenizer of their own: trained, verified, evaluated, resumed; or refused beforehand."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from causalkd.models.configs import make_config
from causalkd.models.load import model_from_config
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.costs.plan import plan
from causalkd.runs.trained_run import TrainedRun
from causalkd.task_types import Task
from tests.data.tiny_tokenizers import bert_like, gpt2_like

WORDS = ("the fox ran", "a cat sat on the mat", "lazy dog", "the quick brown fox", "birds sing", "no beagle walks")
LABELS = ("no", "yes")
OBJECTIVES = {"task": {}, "response_kd": {"tokens": "labelled"}, "diito": {"tokens": "labelled"}}


def _data(folder: Path, kind: str) -> dict[str, Any]:
    file = folder / "rows.jsonl"
    rows: list[dict[str, Any]] = [
        {"text_a": WORDS[n % 6], "text_b": f"{WORDS[(n * 5 + 1) % 6]} , and it was fine", "label": LABELS[n % 2]}
        for n in range(48)
    ]
    if kind == "regression":
        rows = [row | {"label": n / 7} for n, row in enumerate(rows)]
    if kind == "multi_label":
        rows = [{**row, "label": [["no"], ["no", "yes"], []][n % 3]} for n, row in enumerate(rows)]
    if kind == "token_classification":
        rows = [
            {"tokens": row["text_b"].split(), "tags": ["O" if len(w) % 2 else "B-X" for w in row["text_b"].split()]}
            for row in rows
        ]
    file.write_text("\n".join(map(json.dumps, rows)))
    columns = {"text": ["text_a", "text_b"], "label": "label"}
    if kind == "multi_label":
        columns = {"text": ["text_a", "text_b"], "labels": "label"}
    if kind == "token_classification":
        columns = {"words": "tokens", "tags": "tags"}
    return {"path": str(file), "kind": kind, "columns": columns, "max_length": 24}


def _models(folder: Path, task: Task, labels: tuple[str, ...] | None) -> None:
    sizes = {
        "teacher": ("bert", {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}, bert_like()),
        "student": ("gpt2", {"n_embd": 24, "n_layer": 2, "n_head": 2, "n_positions": 64}, gpt2_like()),
    }
    for seed, (name, (kind, given, tokenizer)) in enumerate(sizes.items()):
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        config = make_config({"model_type": kind, **given}, tokenizer)
        model = model_from_config(config, tokenizer, task=task, role="student", labels=labels, seed=seed)
        model.save_pretrained(folder / name)


def recipe_of(folder: Path, kind: str = "classification", **changes: Any) -> dict[str, Any]:
    """A recipe with a BERT of word pieces and a GPT-2 of byte pairs."""
    labels = {"regression": None, "token_classification": ("B-X", "O")}.get(kind, LABELS)
    _models(folder, kind, labels)  # type: ignore[arg-type]
    data = _data(folder, kind)
    return {
        "name": "two",
        "data": data,
        "teacher": {"model": str(folder / "teacher")},
        "alignment": "middle",
        "students": [{"name": "diito", "model": str(folder / "student"), "objectives": OBJECTIVES}],
        "training": {"steps": 2, "batch_size": 8, "save_steps": 1},
        "verification": {"pairs": 12, "batch_size": 6, "eval_every_steps": 1},
        "output": str(folder / "run"),
        **changes,
    }


def _written(folder: Path, recipe: dict[str, Any]) -> Recipe:
    (folder / "two.yaml").write_text(yaml.safe_dump(recipe))
    return Recipe.load(folder / "two.yaml")


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression", "token_classification"])
def test_a_student_with_its_own_tokenizer_goes_from_the_recipe_to_the_report(tmp_path: Path, kind: str) -> None:
    recipe = _written(tmp_path, recipe_of(tmp_path, kind))
    report = runs.distill(recipe)
    run = TrainedRun.load(tmp_path / "run")
    (student,) = run.students
    assert student.model.tokenizer is not None and run.teacher.tokenizer is not None
    assert student.model.tokenizer.get_vocab() == gpt2_like().get_vocab() != run.teacher.tokenizer.get_vocab()
    measured = [row for row in report.interchange if row.baseline == "measured"]
    assert any(row.aligned for row in measured) and len(measured) == 8
    assert plan(recipe, 1e9).stages[0].flops > 0
    again = runs.verify(tmp_path / "run")
    assert again.interchange == report.interchange and again.students == report.students
