"""Evaluating a checkpoint or a run on a task: its line, its JSON, and predictions that give every figure again."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics as seqeval
import torch
from datasets import Dataset
from scipy.stats import spearmanr
from sklearn import metrics
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.data.tasks.loading import Examples
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.runs.evaluation.tasks import evaluate_task, evaluation_batches
from causalkd.verification.results.report import VerificationReport
from tests.data.tiny_tokenizers import WORDS, bert_like, gpt2_like
from tests.oracles import squad_rules
from tests.shrunk import FinishedRun
from tests.tiny import tiny

CONTEXT = " ".join([WORDS] * 3)


def checkpoint(folder: Path, kind, labels: dict[int, str] | None = None, architecture: str = "bert") -> Path:
    model, tokenizer = tiny(architecture, kind, labels=2), bert_like()
    model.resize_token_embeddings(len(tokenizer))
    if labels is not None:
        model.config.id2label, model.config.label2id = labels, {name: number for number, name in labels.items()}
    HookedModel(model, tokenizer, task=kind, role="student").save_pretrained(folder)
    return folder


def test_a_checkpoint_is_measured_and_every_figure_can_be_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "data/glue/MRPC/dev.tsv"
    table.parent.mkdir(parents=True)
    rows = [f"{number % 2}\t1\t2\tthe fox ran {number}\ta dog sat" for number in range(9)]
    table.write_text("\n".join(["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows]) + "\n")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    folder = checkpoint(tmp_path / "model", "classification", {0: "not_equivalent", 1: "equivalent"})
    found = CliRunner().invoke(
        app, ["evaluate", str(folder), "--task", "mrpc", "--split", "validation", "--max-length", "32"]
    )
    assert found.exit_code == 0, found.output
    stored = json.loads((folder / "evaluations/model-mrpc-validation-length32.json").read_text())
    assert (stored["task"], stored["split"], stored["examples"]) == ("mrpc", "validation", 9)
    assert stored["max_length"] == 32 and "limit" not in stored
    table_of = Dataset.from_parquet(str(folder / "evaluations" / stored["table"]))
    gold, predicted = table_of["label"][:], table_of["prediction"][:]
    assert gold == ["not_equivalent", "equivalent"] * 4 + ["not_equivalent"]
    f1 = metrics.f1_score(gold, predicted, pos_label="equivalent", zero_division=0.0)
    assert stored["metrics"] == {"f1": f1, "accuracy": metrics.accuracy_score(gold, predicted)}
    assert f"f1 {f1:.3f}  accuracy " in found.output and "9 examples of glue/MRPC/dev.tsv" in found.output


def test_predictions_do_not_depend_on_the_other_rows_of_a_batch_whatever_side_a_tokenizer_pads() -> None:
    tokenizer, model = bert_like(), HookedModel(tiny("bert", "classification"), task="classification", role="teacher")
    tokenizer.padding_side = "left"
    rows = [{"input_ids": [2, *range(5, 5 + length), 3], "label": 0} for length in (1, 6)]
    examples = Examples(rows, "classification", ("no", "yes"), "accuracy", "two rows")
    (both,) = evaluation_batches(examples, tokenizer, 2)
    alone = [model.run(batch.inputs).logits for batch in evaluation_batches(examples, tokenizer, 1)]
    torch.testing.assert_close(model.run(both.inputs).logits, torch.cat(alone))


def test_rows_are_cut_to_what_a_model_takes_that_counts_positions_from_padding(tmp_path: Path) -> None:
    folder, data = checkpoint(tmp_path / "model", "classification", None, "roberta"), tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"text": f"{CONTEXT} " * 9, "label": label}) + "\n" for label in (0, 1)))
    block = {"path": str(data), "kind": "classification", "splits": {"train": str(data), "validation": str(data)}}
    (tmp_path / "task.yaml").write_text(json.dumps(block))
    found = CliRunner().invoke(app, ["evaluate", str(folder), "--task", str(tmp_path / "task.yaml")])
    assert found.exit_code == 0, found.output


def test_answers_are_measured_over_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "data/squad/xquad.en.json"
    file.parent.mkdir(parents=True)
    asked = [
        {"question": "who ?", "answers": [{"answer_start": CONTEXT.index(word), "text": word}]}
        for word in ("fox", "cat", "lazy dog")
    ]
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": asked}]}]}))
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    folder = checkpoint(tmp_path / "model", "question_answering")
    (row,) = evaluate_task(folder, "squad", limit=2, max_length=20, out=tmp_path / "out")
    assert row["predictions"] == 2 and row["examples"] > 4 and row["lost"] == 0
    table = Dataset.from_parquet(str(tmp_path / "out/model-squad-validation-limit2-length20.parquet"))
    given = {each["question"]: (each["prediction"], each["accepted"]) for each in table}
    assert len(given) == 2 and all(accepted in (["fox"], ["cat"], ["lazy dog"]) for _, accepted in given.values())
    exact, f1 = squad_rules.scores(given)
    assert row["metrics"] == {"answer_f1": pytest.approx(f1), "exact_match": exact}
    assert all(text in CONTEXT for text, _ in given.values())


def test_every_model_of_a_run_is_measured(quickstart: FinishedRun, tmp_path: Path) -> None:
    told: list[str] = []
    rows = evaluate_task(quickstart.folder.path, "planted", limit=6, out=tmp_path, tell=told.append)
    assert [row["model"] for row in rows] == ["teacher", "kd-seed0", "diito-seed0"] and len(told) == 3
    assert all(0 <= row["metrics"]["accuracy"] <= 1 and row["examples"] == 6 for row in rows)
    with pytest.raises(
        ValueError, match=r"teacher of the run .* does classification with the labels .* name a task of"
    ):
        evaluate_task(quickstart.folder.path, "sst2", out=tmp_path)


def test_a_run_is_measured_as_in_its_report(quickstart: FinishedRun, tmp_path: Path) -> None:
    """The same rows, as the recipe in the folder says."""
    report = VerificationReport.read(quickstart.folder.report)
    rows = evaluate_task(quickstart.folder.path, str(quickstart.folder.recipe), out=tmp_path)
    expected = [report.teacher.task_metric, *(student.task_metric for student in report.students)]
    assert [row["metrics"]["accuracy"] for row in rows] == expected


RECOMPUTED: dict[str, Callable[[list, list], dict[str, float]]] = {
    "regression": lambda gold, found: {"spearman": spearmanr(gold, found).statistic},
    "token_classification": lambda gold, found: {"entity_f1": seqeval.f1_score(gold, found)},
    "causal_lm": lambda gold, found: {"perplexity": math.exp(-sum(found) / len(found))},
}


@pytest.mark.parametrize("kind", RECOMPUTED)
def test_stored_predictions_give_the_metric_of_every_kind(tmp_path: Path, kind: Any) -> None:
    words = WORDS.split()
    rows: dict[str, list[dict]] = {
        "regression": [{"text": " ".join(words[n : n + 5]), "label": n * 7 % 5 / 2} for n in range(12)],
        "token_classification": [{"words": words[n : n + 5], "tags": ["B-x", "O", "B-x", "O", "O"]} for n in range(12)],
        "causal_lm": [{"text": " ".join(words[n:])} for n in range(12)],
    }
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[kind]))
    file = tmp_path / "mine.yaml"
    file.write_text(f"{{path: {tmp_path}/mine.jsonl, kind: {kind}, max_length: 16, splits: {{test: train}}}}")
    folder = tmp_path / "model"
    if kind == "causal_lm":
        model, tokenizer = tiny("gpt2", kind), gpt2_like()
        model.resize_token_embeddings(len(tokenizer))
        HookedModel(model, tokenizer, task=kind, role="student").save_pretrained(folder)
    else:
        checkpoint(folder, kind, {0: "B-x", 1: "O"} if kind == "token_classification" else None)
    (row,) = evaluate_task(folder, str(file), "test", out=tmp_path / "out")
    table = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    found = table["label_log_probability" if kind == "causal_lm" else "prediction"][:]
    again = RECOMPUTED[kind](table["label"][:], found)
    assert {name: row["metrics"][name] for name in again} == pytest.approx(again, rel=1e-12)


def test_a_folder_of_another_kind_is_said(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("{}")
    with pytest.raises(ValueError, match=r"holds an unfinished pipeline; .*; or name a checkpoint, whose folder has a"):
        evaluate_task(tmp_path, "planted")


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no task 'mrcp'"):
        evaluate_task(tmp_path, "mrcp")
    with pytest.raises(ValueError, match="no checkpoint"):
        evaluate_task(tmp_path / "nothing", "mrpc")


def test_ones_own_data_are_measured_by_a_file_with_labels_in_the_models_order(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "text,label\n" + "".join(f"the fox {n},{('no', 'yes')[n % 2]}\n" for n in range(8))
    )
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{path: {tmp_path}/mine.csv, kind: classification, splits: {{test: train}}}}")
    folder = checkpoint(tmp_path / "model", "classification", {0: "Yes", 1: "No"})
    (row,) = evaluate_task(folder, str(file), "test", out=tmp_path / "out")
    assert (row["task"], row["examples"]) == ("mine", 8)
    table = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    assert table["label"][:] == ["No", "Yes"] * 4, "not by the place in the file's own order"
    assert row["metrics"]["accuracy"] == metrics.accuracy_score(table["label"][:], table["prediction"][:])


@pytest.mark.parametrize("names", [("no", "yes"), ("yes", "no")])
def test_f1_is_of_the_second_class_of_the_data_whatever_the_order_of_the_model(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    rows = "".join(f"the fox {n},{('no', 'yes')[n % 3 == 0]}\n" for n in range(9))
    (tmp_path / "mine.csv").write_text(f"text,label\n{rows}")
    file = tmp_path / "mine.yaml"
    block = "kind: classification, splits: {test: train}, metrics: [f1, accuracy]"
    file.write_text(f"data: {{path: {tmp_path}/mine.csv, {block}}}")
    folder = checkpoint(tmp_path / "model", "classification", dict(enumerate(names)))
    (row,) = evaluate_task(folder, str(file), "test", out=tmp_path / "out")
    table = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    gold, predicted = table["label"][:], table["prediction"][:]
    assert row["metrics"]["f1"] == metrics.f1_score(gold, predicted, pos_label="yes", zero_division=0.0)
    other = metrics.f1_score(gold, predicted, pos_label="no", zero_division=0.0)
    assert row["metrics"]["f1"] != other, "or the test could not tell them apart"


@pytest.mark.parametrize("tags", [["O", "B-x"], ["B-X", "O"], ["B-x", "I-x", "O"]])
def test_rows_may_have_the_labels_of_the_model_or_some_of_them_in_any_order_and_case(
    tmp_path: Path, tags: list[str]
) -> None:
    rows = [{"words": "a quick brown fox".split()[: len(tags)], "tags": tags}] * 4
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "mine.yaml"
    split = "max_length: 4, splits: {test: train}"
    file.write_text(f"{{path: {tmp_path}/mine.jsonl, kind: token_classification, {split}}}")
    model = tiny("bert", "token_classification", labels=3)
    model.resize_token_embeddings(len(bert_like()))
    model.config.id2label = {0: "O", 1: "B-x", 2: "I-x"}
    model.config.label2id = {"O": 0, "B-x": 1, "I-x": 2}
    HookedModel(model, bert_like(), task="token_classification", role="student").save_pretrained(tmp_path / "model")
    (row,) = evaluate_task(tmp_path / "model", str(file), "test", out=tmp_path / "out")
    table = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    assert table["label"][:] == [[tag.replace("X", "x") for tag in tags]] * 4, "spelled as the model's other tags are"
    assert row["examples"] == 4
    assert row["predictions"] == 4 * len(tags), "words that are cut off count as well"


def test_several_labels_a_row_are_stored_as_names(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,rude,long\n" + "".join(f"the fox {n},{n % 2},1\n" for n in range(6)))
    file = tmp_path / "mine.yaml"
    columns = "{labels: [rude, long]}"
    file.write_text(
        f"data: {{path: {tmp_path}/mine.csv, kind: multi_label, columns: {columns}, splits: {{test: train}}}}"
    )
    folder = checkpoint(tmp_path / "model", "multi_label", {0: "rude", 1: "long"})
    (row,) = evaluate_task(folder, str(file), "test", out=tmp_path / "out")
    table = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    gold, found = ([["rude" in row, "long" in row] for row in table[name]] for name in ("label", "prediction"))
    assert gold == [[bool(n % 2), True] for n in range(6)]
    assert row["metrics"]["micro_f1"] == metrics.f1_score(gold, found, average="micro", zero_division=0.0)


def test_text_is_scored_with_overlapping_rows_or_mask_by_mask(tmp_path: Path) -> None:
    (tmp_path / "books.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 4)
    for kind, architecture, make in (("causal_lm", "gpt2", gpt2_like), ("masked_lm", "bert", bert_like)):
        model, tokenizer = tiny(architecture, kind), make()
        model.resize_token_embeddings(len(tokenizer))
        HookedModel(model, tokenizer, task=kind, role="student").save_pretrained(tmp_path / kind)
        file = tmp_path / f"{kind}.yaml"
        file.write_text(f"{{path: {tmp_path}/books.txt, kind: {kind}, max_length: 12, splits: {{test: train}}}}")
        way = {"stride": 3} if kind == "causal_lm" else {"one_mask_a_row": True}
        (plain,) = evaluate_task(tmp_path / kind, str(file), "test", out=tmp_path / "out")
        (row,) = evaluate_task(tmp_path / kind, str(file), "test", out=tmp_path / "out", **way)
        assert row["examples"] > plain["examples"] and row["metrics"]["perplexity"] != plain["metrics"]["perplexity"]
        assert all(row[name] == value for name, value in way.items())
        assert row["predictions"] >= plain["predictions"]
    with pytest.raises(ValueError, match="stride is 3, but 'masked_lm' is not plain text for a causal LM"):
        evaluate_task(tmp_path / "masked_lm", str(tmp_path / "masked_lm.yaml"), "test", stride=3)
    with pytest.raises(ValueError, match="one mask a row is given, but 'mrpc' is classification"):
        evaluate_task(tmp_path / "masked_lm", "mrpc", one_mask_a_row=True)


def test_what_was_measured_on_fewer_rows_is_beside_what_was_measured_on_all(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", "classification", {0: "a", 1: "b"})
    (tmp_path / "other").mkdir()
    rows = "".join(f"fox {number},{'ab'[number % 2]}\n" for number in range(9))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    block = f"path: {tmp_path / 'rows.csv'}, kind: classification"
    (tmp_path / "own.yaml").write_text(f"data: {{{block}}}")
    asked = str(folder), str(tmp_path / "own.yaml"), "train"
    found = [evaluate_task(*asked, **more)[0] for more in ({}, {"limit": 4}, {"limit": 4, "max_length": 8})]
    files = [folder / "evaluations" / each["file"] for each in found]
    assert [file.stem for file in files] == [f"model-own-train{end}" for end in ("", "-limit4", "-limit4-length8")]
    stored = [json.loads(file.read_text()) for file in files]
    assert all(file.with_suffix(".parquet").name == each["table"] for file, each in zip(files, stored, strict=True))
    assert [each["examples"] for each in stored] == [found[0]["examples"], 4, 4]
    assert [each["predictions"] for each in stored] == [found[0]["examples"], 4, 4]
    out = tmp_path / "out"
    evaluate_task(*asked, out=out)
    evaluate_task(*asked, out=out)  # the same again
    folder = folder.rename(tmp_path / "other" / "model")
    with pytest.raises(
        ValueError, match=r"(?s)model-own-train.json holds another measurement.* `of` is .*/model there"
    ):
        evaluate_task(folder, *asked[1:], out=out)
    (tmp_path / "own.yaml").write_text(f"data: {{{block}, metrics: [f1], max_length: 4}}")
    with pytest.raises(ValueError, match=r"(?s)holds another measurement, .*: `data` is .* there and .*'f1'"):
        evaluate_task(folder, *asked[1:])
    (row,) = evaluate_task(folder, *asked[1:], overwrite=True)
    assert row["data"]["max_length"] == 4
