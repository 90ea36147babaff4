"""Files for GLUE's server: a line a test row, in the published order and with the published names."""

import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.runs.evaluation.glue_submission import _scores, write_submission
from causalkd.runs.evaluation.tasks import evaluate_task
from tests.data.tiny_tokenizers import bert_like
from tests.tiny import tiny

TEXTS = ("the fox ran", "a cat sat", "lazy dog", "birds sing")


def _checkpoint(folder: Path, kind, labels: dict[int, str] | None = None, bias: float = 0.0) -> Path:
    model, tokenizer = tiny("bert", kind, labels=len(labels or "ab")), bert_like()
    if bias:
        model.classifier.bias.data += bias
    model.resize_token_embeddings(len(tokenizer))
    if labels is not None:
        model.config.id2label, model.config.label2id = labels, {name: number for number, name in labels.items()}
    HookedModel(model, tokenizer, task=kind, role="student").save_pretrained(folder)
    return folder


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data/glue"
    for name in ("RTE", "CoLA", "STS-B", "diagnostic"):
        (folder / name).mkdir(parents=True)
    pairs = "".join(f"{n}\t{text}\ta dog\n" for n, text in enumerate(TEXTS))
    (folder / "RTE/test.tsv").write_text(f"index\tsentence1\tsentence2\n{pairs}")
    (folder / "STS-B/test.tsv").write_text(f"index\tsentence1\tsentence2\n{pairs}")
    (folder / "diagnostic/diagnostic.tsv").write_text(f"index\tsentence1\tsentence2\n{pairs}")
    others = "".join(f"{n}\t{text}\n" for n, text in zip((5, 3, 9, 0), TEXTS, strict=True))
    (folder / "CoLA/test.tsv").write_text(f"index\tsentence\n{others}")
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
    numbered = zip((5, 3, 9, 0), best, strict=True)
    assert file.read_text().splitlines()[1:] == [f"{n}\t{number}" for n, number in numbered]


def test_models_of_mnli_answer_the_diagnostic_set(official: Path) -> None:
    folder = _checkpoint(official / "mnli", "classification", {0: "neutral", 1: "contradiction", 2: "entailment"})
    (file,) = write_submission(folder, "ax", out=official / "out")
    best = _logits(folder, "classification", pair=True).argmax(-1).tolist()
    names = ("neutral", "contradiction", "entailment")
    assert file.name == "AX.tsv"
    assert file.read_text().splitlines()[1:] == [f"{n}\t{names[number]}" for n, number in enumerate(best)]


@pytest.mark.parametrize("bias", [3.0, -9.0, 9.0])
def test_scores_are_handed_in_as_numbers_between_0_and_5(official: Path, bias: float) -> None:
    folder = _checkpoint(official / "stsb", "regression", bias=bias)
    (file,) = write_submission(folder, "stsb", out=official / "out")
    numbers = [float(line.split("\t")[1]) for line in file.read_text().splitlines()[1:]]
    own = _logits(folder, "regression", pair=True)[:, 0]
    assert numbers == pytest.approx(own.clamp(0, 5).tolist(), rel=1e-5)
    assert {3.0: (own > 0) & (own < 5), -9.0: own < 0, 9.0: own > 5}[bias].any()


def test_scores_that_are_no_numbers_and_a_file_of_another_model_are_refused(official: Path) -> None:
    with pytest.raises(ValueError, match=r"stsb has weights that are not finite \(classifier.bias\): its"):
        write_submission(_checkpoint(official / "stsb", "regression", bias=math.nan), "stsb", out=official / "out")
    with pytest.raises(ValueError, match="stsb predicts no finite score for 1 of 2 rows, the first of which is row 1"):
        _scores([1.0, math.nan], "stsb")
    rte = _checkpoint(official / "rte", "classification", {0: "not_entailment", 1: "entailment"}, bias=math.nan)
    with pytest.raises(ValueError, match="rte has weights that are not finite"):
        evaluate_task(rte, "rte")
    (file,) = write_submission(_checkpoint(official / "stsb", "regression"), "stsb", out=official / "out")
    write_submission(official / "stsb", "stsb", out=official / "out")
    with pytest.raises(ValueError, match=r"STS-B.tsv holds other predictions; name another folder with `out`"):
        write_submission(_checkpoint(official / "b/stsb", "regression", bias=1.0), "stsb", out=official / "out")
    assert file.is_file()


def test_what_is_lacking_is_said(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _checkpoint(official / "cola", "classification", {0: "unacceptable", 1: "acceptable"})
    with pytest.raises(ValueError, match="max_length 41 is more than the 40 tokens that cola takes"):
        write_submission(folder, "cola", max_length=41)
    (official / "data/glue/CoLA/test.tsv").unlink()
    with pytest.raises(
        ValueError, match=r"rows of 'cola' are not here: put the file CoLA/test\.tsv of .* into /.*data "
    ):
        write_submission(folder, "cola")


def test_only_glue_has_such_files(official: Path) -> None:
    folder = _checkpoint(official / "squad", "question_answering")
    with pytest.raises(ValueError, match=r"handed in for the tasks of GLUE .*, and 'squad' is none of them"):
        write_submission(folder, "squad")
    with pytest.raises(ValueError, match=r"handed in for the tasks of GLUE .*, and 'mine.yaml' is none of them"):
        write_submission(folder, "mine.yaml")
