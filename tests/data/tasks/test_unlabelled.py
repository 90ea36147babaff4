import json
from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.loading import load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.unlabelled import lacks_labels, with_some_labels
from tests.data.tiny_tokenizers import bert_like


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def _table(**columns: list) -> Table:
    return Table(datasets.Dataset.from_dict(columns), "here")


def test_inputs_alone_or_beside_empty_labels_lack_labels_and_other_columns_are_another_fault() -> None:
    columns = {"text": ("text",), "label": ("stars",)}
    for table in (_table(text=["a"]), _table(text=["a", "b"], stars=[None, None]), _table(text=["a"], stars=[""])):
        assert lacks_labels(columns, table)
    for table in (_table(text=["a", "b"], stars=["", "x"]), _table(other=["a"]), _table(text=["a"], stars=[0])):
        assert not lacks_labels(columns, table)
    assert not lacks_labels({"text": ("text",)}, _table(text=["a"]))
    several = {"text": ("text",), "labels": ("a", "b")}
    assert lacks_labels(several, _table(text=["x"])) and not lacks_labels(several, _table(text=["x"], a=[1]))


def test_hidden_labels_of_a_declared_class_are_none() -> None:
    features = datasets.Features(label=datasets.ClassLabel(names=["no", "yes"]), text=datasets.Value("string"))
    for numbers, lacks in (([-1, -1], True), ([-1, 0], False)):
        rows = datasets.Dataset.from_dict({"label": numbers, "text": ["a", "b"]}, features=features)
        assert lacks_labels({"text": ("text",), "label": ("label",)}, Table(rows, "here")) is lacks


def test_some_labels_are_of_the_type_of_their_role() -> None:
    found = with_some_labels(
        {"words": ("w",), "tags": ("t",)}, _table(w=[["a", "b"], ["c"]], t=[None, None]), ("O", "x")
    )
    assert found.rows["t"][:] == [["O", "O"], ["O"]] and found.origin == "here"
    found = with_some_labels({"text": ("text",), "labels": ("a", "b")}, _table(text=["x", "y"]), ("a", "b"))
    assert found.rows["a"][:] == found.rows["b"][:] == [0, 0]
    found = with_some_labels({"text": ("text",), "label": ("score",)}, _table(text=["x"]), ())
    assert found.rows["score"][:] == [0.0]


def test_a_split_without_labels_is_not_measured_nor_its_columns_called_wrong(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nthe fox,a\na dog,b\n")
    (tmp_path / "test.csv").write_text("text\nthe fox\n")
    own = OwnData(str(tmp_path), "classification", {"text": "text", "label": "label"})
    with pytest.raises(
        ValueError, match=r"test\.csv, the split 'test', has no labels \(nothing in 'label'\), .*evaluate"
    ):
        load_examples(own, "test", bert_like())
    assert load_examples(own, "test", bert_like(), may_lack_labels=True).unlabelled
    (tmp_path / "test.csv").write_text("other\nthe fox\n")
    with pytest.raises(ValueError, match="which are not there"):
        load_examples(own, "test", bert_like(), may_lack_labels=True)
    (tmp_path / "test.csv").write_text("text,label\nthe fox,b\n")
    assert not load_examples(own, "test", bert_like(), may_lack_labels=True).unlabelled
    answers = {"answers": {"answer_start": [4], "text": ["fox"]}}
    (tmp_path / "qa").mkdir()
    for split, more in (("train", answers), ("test", {})):
        row = {"question": "who ?", "context": "the fox", **more}
        (tmp_path / f"qa/{split}.jsonl").write_text(json.dumps(row) + "\n")
    own = OwnData(str(tmp_path / "qa"), "question_answering", validation_share=None)
    with pytest.raises(ValueError, match=r"'test', has no labels \(nothing in 'answers'\), .* name another split$"):
        load_examples(own, "test", bert_like(), may_lack_labels=True)
