"""The named tasks read the files of their data sets as these are published."""

import json
from pathlib import Path

import pytest

from causalkd.data.tasks.loading import TASKS, load_examples
from tests.data.tiny_tokenizers import bert_like

OFFICIAL = {
    "MNLI/dev_matched.tsv": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta cat\ta dog\tneutral\tentailment\n",
    "MNLI/dev_mismatched.tsv": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\ta dog\tneutral\tcontradiction\n",
    "QQP/dev.tsv": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\twho ?\twhere ?\t1\n",
    "QNLI/train.tsv": "index\tquestion\tsentence\tlabel\n0\twho ?\tthe fox\tentailment\n",
    "conll2003/eng.testa": "-DOCSTART- -X- O O\n\nParis NNP I-NP I-LOC\nran VBD I-VP O\n\ncat NN I-NP B-ORG\n",
}
"""Rows in the published forms, as the archives lay them out, and the labels of each."""
OFFICIAL_LABELS = [
    ("mnli", "validation", [0]),
    ("mnli_mismatched", "validation", [2]),
    ("qqp", "validation", [1]),
    ("qnli", "train", [0]),
]


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in OFFICIAL.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    squad = {"version": "1.1", "data": [{"title": "x", "paragraphs": []}]}
    for version in ("v1.1", "v2.0"):
        answers = [{"text": "fox", "answer_start": 4}]
        questions = [{"id": "1", "question": "who ?", "answers": answers}]
        questions += [{"id": "2", "question": "where ?", "answers": [], "is_impossible": True}] * (version == "v2.0")
        squad["data"][0]["paragraphs"] = [{"context": "the fox ran", "qas": questions}]
        (tmp_path / f"dev-{version}.json").write_text(json.dumps(squad))
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("task", "split", "labels"), OFFICIAL_LABELS, ids=[case[0] for case in OFFICIAL_LABELS])
def test_official_files_are_read_where_they_are_there(official: Path, task: str, split: str, labels: list) -> None:
    loaded = load_examples(task, split, bert_like())
    assert [example["label"] for example in loaded.examples] == labels and "sample" not in loaded.origin


def test_official_entities_and_answers_are_read(official: Path) -> None:
    loaded = load_examples("conll2003", "validation", bert_like())
    tags = [[loaded.labels[label] for label in example["label"] if label >= 0] for example in loaded.examples]
    assert tags == [["B-LOC", "O"], ["B-ORG"]]
    (answered,) = load_examples("squad", "validation", bert_like()).examples
    assert answered["answers"] == ["fox"]
    spec = TASKS["squad_v2"]
    rows = spec.files["validation"].read(official / "dev-v2.0.json")
    assert [answers for *_, answers in rows] == [[(4, "fox")], []]
