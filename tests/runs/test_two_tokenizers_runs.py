"""Runs whose students have a tokenizer of their own: trained, verified, evaluated, resumed; or refused beforehand."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer

from causalkd.alignment.presets import preset
from causalkd.models.configs import make_config
from causalkd.models.load import model_from_config
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.attribute import attribute
from causalkd.runs.costs.plan import plan, planned
from causalkd.runs.evaluation.tasks import evaluate_task
from causalkd.runs.precompute import precompute
from causalkd.runs.search import search_run
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.prepare import build_teacher
from causalkd.runs.trained_run import TrainedRun
from causalkd.task_types import Task
from causalkd.verification.results.report import VerificationReport
from tests.data.tiny_tokenizers import bert_like, gpt2_like
from tests.runs.test_distill import _interrupt

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
        "training": {"steps": 2, "batch_size": 8, "save_steps": 1, "logging_steps": 1},
        "verification": {"pairs": 12, "batch_size": 6, "components": []},
        "output": str(folder / "run"),
        **changes,
    }


def _written(folder: Path, recipe: dict[str, Any]) -> Recipe:
    (folder / "two.yaml").write_text(yaml.safe_dump(recipe))
    return Recipe.load(folder / "two.yaml")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "student" / "model.safetensors")


def _same_weights(one: Path, other: Path) -> bool:
    weights, others = _weights(one), _weights(other)
    return weights.keys() == others.keys() and all(torch.equal(each, others[name]) for name, each in weights.items())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of classifiers, and of the models and data that it was made of."""
    folder = tmp_path_factory.mktemp("two")
    recipe = recipe_of(folder)
    recipe["verification"] |= {"components": ["block_output"], "eval_every_steps": 1}
    runs.distill(_written(folder, recipe))
    return folder


def test_a_student_with_its_own_tokenizer_goes_from_the_recipe_to_the_report(finished: Path) -> None:
    report = VerificationReport.read(finished / "run" / "report.json")
    run = TrainedRun.load(finished / "run")
    (student,) = run.students
    assert student.model.tokenizer is not None and run.teacher.tokenizer is not None
    assert student.model.tokenizer.get_vocab() == gpt2_like().get_vocab() != run.teacher.tokenizer.get_vocab()
    stored = AutoTokenizer.from_pretrained(finished / "run" / "student")
    assert stored.get_vocab() == gpt2_like().get_vocab()
    measured = [row for row in report.interchange if row.baseline == "measured"]
    assert any(row.aligned for row in measured) and len(measured) == 8
    again = runs.verify(finished / "run")
    assert again.interchange == report.interchange and again.students == report.students
    rows = [json.loads(line) for line in (finished / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows and all(row["term/diito"] >= 0 for row in rows)


@pytest.mark.parametrize("kind", ["multi_label", "regression", "token_classification"])
def test_every_task_over_labels_is_trained_and_verified(tmp_path: Path, kind: str) -> None:
    recipe = _written(tmp_path, recipe_of(tmp_path, kind))
    report = runs.distill(recipe)
    (row,) = (each for each in report.interchange if each.baseline == "measured")
    assert row.aligned and row.pairs == 12 and row.kl is not None
    assert report.students[0].agreement is not None


def test_a_finished_run_does_not_need_the_checkpoint_that_its_student_began_as(finished: Path) -> None:
    (finished / "student").rename(finished / "elsewhere")
    try:
        run = TrainedRun.load(finished / "run")
    finally:
        (finished / "elsewhere").rename(finished / "student")
    assert run.data.tokenizer_of("student").get_vocab() == gpt2_like().get_vocab()
    assert run.data.train.student_pad_id == gpt2_like().eos_token_id


def test_each_model_is_evaluated_with_its_own_tokenizer(finished: Path, tmp_path: Path) -> None:
    """The models of a run have the scores of their own checkpoints, and the run's report those of both."""
    of_run = evaluate_task(finished / "run", str(finished / "two.yaml"), out=tmp_path / "run")
    teacher, student = (
        evaluate_task(finished / place, str(finished / "two.yaml"), out=tmp_path / place)[0]["metrics"]
        for place in ("teacher", "run/student")
    )
    assert [row["metrics"] for row in of_run] == [teacher, student]
    report = VerificationReport.read(finished / "run" / "report.json")
    assert report.teacher.task_metric == teacher["accuracy"]
    assert report.students[0].task_metric == student["accuracy"]


def test_what_compares_tokens_of_a_finished_run_is_refused(finished: Path) -> None:
    with pytest.raises(ValueError, match="an agreement of maps compares models token by token"):
        attribute(finished / "run", limit=2)
    with pytest.raises(ValueError, match="a search compares models token by token"):
        search_run(finished / "run")


def test_a_plan_reckons_with_the_tokens_of_the_model_that_has_more(finished: Path) -> None:
    recipe = Recipe.load(finished / "two.yaml")
    two = plan(recipe, 1e9).stages[0]
    data = build_data(recipe.data, recipe.teacher, recipe.students)
    examples = data.train.examples
    longest, longest_of_student = (max(len(row["input_ids"]) for row in rows) for rows in (examples, _own(examples)))
    assert longest < longest_of_student <= 24
    teacher = build_teacher(recipe.teacher, data, "teacher")
    alone = planned(recipe, data.in_teachers_tokens(), teacher, preset("middle", 4, 2), 1e9).stages[0]
    assert two.flops > alone.flops > 0


def _own(examples: Any) -> list[Any]:
    return [row["student"] for row in examples]


def test_an_interrupted_training_goes_on_to_the_same_weights(finished: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(finished / "two.yaml").model_copy(update={"output": str(tmp_path / "run")})
    _interrupt(recipe, "diito", 2)
    runs.distill(recipe)
    assert _same_weights(finished / "run", tmp_path / "run")


def test_a_teacher_whose_outputs_were_precomputed_teaches_the_same(finished: Path, tmp_path: Path) -> None:
    given = yaml.safe_load((finished / "two.yaml").read_text()) | {"output": str(tmp_path / "run")}
    given["verification"].pop("eval_every_steps")
    precompute(_written(tmp_path, given), tmp_path / "outputs")
    given["teacher"]["outputs"] = str(tmp_path / "outputs")
    runs.distill(_written(tmp_path, given))
    assert _same_weights(finished / "run", tmp_path / "run")


def test_a_teacher_that_is_trained_first_reads_its_own_tokens(finished: Path, tmp_path: Path) -> None:
    """It has the weights of the same teacher trained without any student."""
    given = yaml.safe_load((finished / "two.yaml").read_text()) | {"output": str(tmp_path / "run")}
    given["teacher"] |= {"training": {"steps": 2, "batch_size": 8}}
    given["verification"].pop("eval_every_steps")
    recipe = _written(tmp_path, given)
    runs.distill(recipe)
    cut = [{"name": "diito", "every": 2, "objectives": {"task": {}}}]
    runs.distill(_written(tmp_path, given | {"students": cut, "output": str(tmp_path / "alone")}))
    one, other = (load_file(tmp_path / name / "teacher" / "model.safetensors") for name in ("run", "alone"))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        ({"hidden_kd": {"projection": True}}, "hidden_kd compares the models token by token"),
        ({"adkd": {}}, "adkd compares the models token by token"),
    ],
)
def test_objectives_that_compare_tokens_are_refused_before_anything_is_written(
    finished: Path, tmp_path: Path, objectives: dict[str, Any], said: str
) -> None:
    given = yaml.safe_load((finished / "two.yaml").read_text()) | {"output": str(tmp_path / "run")}
    given["students"][0]["objectives"] = objectives
    with pytest.raises(ValueError, match=f"student 'diito': {said}"):
        runs.distill(_written(tmp_path, given))
    assert not (tmp_path / "run").exists()


def test_positions_that_never_correspond_are_refused(finished: Path, tmp_path: Path) -> None:
    """A GPT-2 has no token for what a BERT's `first` selects."""
    given = yaml.safe_load((finished / "two.yaml").read_text()) | {"output": str(tmp_path / "run")}
    site = [{"layer": 1}]
    pairs = [{"name": "cls", "teacher": site, "student": site}]
    given["alignment"] = {"name": "first", "positions": {"policy": "first"}, "pairs": pairs}
    with pytest.raises(ValueError, match="with two tokenizers only parts of a text count that both models read"):
        runs.distill(_written(tmp_path, given))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["causal_lm", "question_answering"])
def test_predictions_over_tokens_are_refused(finished: Path, tmp_path: Path, kind: str) -> None:
    given = yaml.safe_load((finished / "two.yaml").read_text()) | {"output": str(tmp_path / "run")}
    given["students"][0]["objectives"] = {"response_kd": {}}
    if kind == "causal_lm":
        (tmp_path / "books").mkdir()
        for name in ("train", "valid"):
            (tmp_path / "books" / f"{name}.txt").write_text("the quick brown fox jumps over\n" * 60)
        given["data"] = {"path": str(tmp_path / "books"), "kind": "causal_lm", "max_length": 16}
    else:
        answers = [{"answer_start": 4, "text": "fox"}]
        asked = [{"id": str(n), "question": "who ?", "answers": answers} for n in range(20)]
        paragraphs = {"data": [{"paragraphs": [{"context": "the fox ran", "qas": asked}]}]}
        (tmp_path / "asked.json").write_text(json.dumps(paragraphs))
        given["data"] = {"path": str(tmp_path / "asked.json"), "kind": "question_answering", "max_length": 16}
    with pytest.raises(ValueError, match=f"another tokenizer than the teacher, and predictions of {kind} are over"):
        runs.distill(_written(tmp_path, given))
    assert not (tmp_path / "run").exists()
