"""Data of one's own from the file to the report, by the command line."""

import copy
import json
from pathlib import Path

import datasets
import pytest
import yaml
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.verification.results.report import VerificationReport
from tests.data.tiny_tokenizers import bert_like, gpt2_like

WORDS = ("the fox ran", "a cat sat", "lazy dog", "the quick brown fox", "birds sing", "no beagle walks")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def three_classes(folder: Path) -> dict:
    rows = [f'"{WORDS[n % 6]}, {n}",fine,{("bad", "fair", "good")[n % 3]}\n' for n in range(60)]
    (folder / "reviews.csv").write_text("title,body,stars\n" + "".join(rows))
    columns = {"text": ["title", "body"], "label": "stars"}
    labels, metrics = ["bad", "fair", "good"], ["macro_f1", "accuracy"]
    return {"path": "reviews.csv", "kind": "classification", "columns": columns, "labels": labels, "metrics": metrics}


def several_labels(folder: Path) -> dict:
    rows = [f"{WORDS[n % 6]} {n},{n % 2},{int(n % 3 == 0)},1\n" for n in range(60)]
    (folder / "toxic.csv").write_text("text,rude,long,plain\n" + "".join(rows))
    return {"path": "toxic.csv", "kind": "multi_label", "columns": {"labels": ["rude", "long", "plain"]}}


def scores(folder: Path) -> dict:
    rows = [json.dumps({"text_a": WORDS[n % 6], "text_b": "a dog", "score": n / 7}) for n in range(60)]
    (folder / "scores.jsonl").write_text("\n".join(rows))
    return {"path": "scores.jsonl", "kind": "regression"}


def tagged(folder: Path) -> dict:
    sentence = "Paris NNP I-PLACE\nsings V O\nfox N I-THING\n\n"
    (folder / "train.conll").write_text(sentence * 60)
    return {"path": "train.conll", "kind": "token_classification"}


def text(folder: Path) -> dict:
    (folder / "books").mkdir()
    for name in ("train", "valid"):
        (folder / "books" / f"{name}.txt").write_text("the quick brown fox jumps over\n" * 150)
    return {"path": "books", "kind": "causal_lm", "max_length": 16}


def pairs(folder: Path) -> dict:
    rows = {"premise": list(WORDS) * 10, "hypothesis": ["a dog"] * 60, "label": ["yes", "no"] * 30}
    datasets.Dataset.from_dict(rows).to_parquet(folder / "pairs.parquet")
    return {"path": "pairs.parquet", "kind": "classification"}


def quoted(folder: Path) -> dict:
    rows = [f'"{WORDS[n % 6]}\t{n}"\t{n % 2}\n' for n in range(60)]
    (folder / "quoted.tsv").write_text("text\tlabel\n" + "".join(rows))
    return {"path": "quoted.tsv", "kind": "classification"}


def questions(folder: Path) -> dict:
    answers = [{"answer_start": 4, "text": "fox"}]
    asked = [{"id": str(n), "question": "who ?", "answers": answers} for n in range(60)]
    (folder / "asked.json").write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "the fox ran", "qas": asked}]}]})
    )
    return {"path": "asked.json", "kind": "question_answering"}


def messages(folder: Path) -> dict:
    rows = [
        json.dumps({"messages": [{"role": "user", "content": "sing"}, {"role": "assistant", "content": WORDS[n % 6]}]})
        for n in range(60)
    ]
    (folder / "chat.jsonl").write_text("\n".join(rows))
    return {"path": "chat.jsonl", "kind": "chat", "max_length": 64}


FORMS = {
    "csv": three_classes,
    "several labels": several_labels,
    "json lines": scores,
    "conll": tagged,
    "text": text,
    "parquet": pairs,
    "tsv": quoted,
    "squad": questions,
    "chat": messages,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_block_of_few_lines_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    data = FORMS[form](tmp_path)
    assert len(yaml.safe_dump(data, default_flow_style=None).splitlines()) <= 8
    decoder = data["kind"] in ("causal_lm", "chat")
    tokenizer = copy.deepcopy(gpt2_like() if decoder else bert_like())
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}" if decoder else None
    tokenizer.save_pretrained("tokenizer")
    sizes = (
        {"n_embd": 16, "n_layer": 4, "n_head": 2, "n_positions": 64}
        if decoder
        else {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    )
    recipe = {
        "name": "own",
        "data": {**data, "tokenizer": "tokenizer"},
        "teacher": {"config": {"model_type": "gpt2" if decoder else "bert", **sizes}, "training": {"steps": 2}},
        "alignment": "middle",
        "students": [{"name": "diito", "every": 2, "objectives": {"diito": {}}}],
        "training": {"steps": 2, "batch_size": 8},
        "verification": {"pairs": 8, "components": []},
        "output": "run",
    }
    Path("own.yaml").write_text(yaml.safe_dump(recipe))
    done = CliRunner().invoke(app, ["distill", "own.yaml"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    report = json.loads(Path("run/report.json").read_text())
    assert report and data["path"] in done.output
    for metric in data.get("metrics", ()):
        assert metric in (report["teacher"]["metric"], *report["teacher"]["metrics"])
    if data["kind"] == "classification":
        assert [row["model"] for row in report["task_scores"]] == ["teacher", "diito"]


def test_numbers_as_far_apart_as_the_labels_are_no_one_prediction(tmp_path: Path) -> None:
    """Of scores from 0 to 1, half is what a constant equals them all within."""
    rows = [json.dumps({"text": WORDS[n % 6], "score": n % 6 / 5}) for n in range(60)]
    (tmp_path / "scores.jsonl").write_text("\n".join(rows))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    data = {"path": str(tmp_path / "scores.jsonl"), "kind": "regression", "tokenizer": str(tmp_path / "tokenizer")}
    recipe = {
        "name": "own", "data": data, "output": str(tmp_path / "run"), "alignment": "middle",
        "teacher": {"config": {"model_type": "bert", **sizes}, "training": {"steps": 2}},
        "students": [{"name": "diito", "layers": [1], "objectives": {"diito": {}}}],
        "training": {"steps": 2, "batch_size": 8}, "verification": {"pairs": 8, "components": []},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    command = ["distill", str(tmp_path / "own.yaml")]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "held-out labels lie between 0 and 0.8, so one constant would equal them all" in " ".join(
        refused.stderr.split()
    )
    done = CliRunner().invoke(app, [*command, "--set", "verification.tolerance=0.1"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    report = VerificationReport.read(tmp_path / "run" / "report.json")
    assert report.environment.tolerance == 0.1
    assert "Two numbers that are at most 0.1 apart are one prediction." in (tmp_path / "run" / "report.md").read_text()
