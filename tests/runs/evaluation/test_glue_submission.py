"""Files for GLUE's server: a line a test row, in the published order and with the published names."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.runs.evaluation.glue_submission import write_submission
from tests.data.tiny_tokenizers import bert_like
from tests.tiny import tiny

TEXTS = ("the fox ran", "a cat sat", "lazy dog", "birds sing")


def _checkpoint(folder: Path, kind, labels: dict[int, str] | None = None) -> Path:
    model, tokenizer = tiny("bert", kind, labels=2), bert_like()
    model.resize_token_embeddings(len(tokenizer))
    if labels is not None:
        model.config.id2label, model.config.label2id = labels, {name: number for number, name in labels.items()}
    HookedModel(model, tokenizer, task=kind, role="student").save_pretrained(folder)
    return folder


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data/glue"
    for name in ("RTE", "CoLA", "STS-B"):
        (folder / name).mkdir(parents=True)
    pairs = "".join(f"{n}\t{text}\ta dog\n" for n, text in enumerate(TEXTS))
    (folder / "RTE/test.tsv").write_text(f"index\tsentence1\tsentence2\n{pairs}")
    (folder / "STS-B/test.tsv").write_text(f"index\tsentence1\tsentence2\n{pairs}")
    (folder / "CoLA/test.tsv").write_text("index\tsentence\n" + "".join(f"{n}\t{t}\n" for n, t in enumerate(TEXTS)))
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    return tmp_path


def _logits(folder: Path, kind, pair: bool) -> torch.Tensor:
    model, tokenizer = load_model(folder, task=kind, role="teacher").model, bert_like()
    second = ["a dog"] * len(TEXTS) if pair else None
    inputs = tokenizer(list(TEXTS), second, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits


def test_classes_are_handed_in_by_name_or_number_whatever_the_models_order(official: Path) -> None:
    folder = _checkpoint(official / "rte", "classification", {0: "not_entailment", 1: "entailment"})
    found = CliRunner().invoke(app, ["evaluate", str(folder), "--task", "rte", "--submission"])
    assert found.exit_code == 0, found.output
    lines = (folder / "evaluations/glue/rte/RTE.tsv").read_text().splitlines()
    best = _logits(folder, "classification", pair=True).argmax(-1).tolist()
    names = ("not_entailment", "entailment")
    assert lines == ["index\tprediction", *(f"{n}\t{names[number]}" for n, number in enumerate(best))]
    folder = _checkpoint(official / "cola", "classification", {0: "unacceptable", 1: "acceptable"})
    (file,) = write_submission(folder, "cola", out=official / "out")
    best = _logits(folder, "classification", pair=False).argmax(-1).tolist()
    assert file.name == "CoLA.tsv"
    assert file.read_text().splitlines()[1:] == [f"{n}\t{number}" for n, number in enumerate(best)]


def test_scores_are_handed_in_as_numbers(official: Path) -> None:
    folder = _checkpoint(official / "stsb", "regression")
    (file,) = write_submission(folder, "stsb", out=official / "out")
    numbers = [float(line.split("\t")[1]) for line in file.read_text().splitlines()[1:]]
    assert numbers == pytest.approx(_logits(folder, "regression", pair=True)[:, 0].tolist(), rel=1e-5)


def test_only_glue_has_such_files(official: Path) -> None:
    folder = _checkpoint(official / "squad", "question_answering")
    with pytest.raises(ValueError, match=r"handed in for the tasks of GLUE .*, and 'squad' is none of them"):
        write_submission(folder, "squad")
    with pytest.raises(ValueError, match=r"handed in for the tasks of GLUE .*, and 'mine.yaml' is none of them"):
        write_submission(folder, "mine.yaml")
