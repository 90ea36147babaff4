import json
from pathlib import Path

import datasets
import pytest
import yaml

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.preview import guess_kind, preview
from causalkd.recipe.sections import DataPart
from tests.data.tiny_tokenizers import bert_like


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def test_a_table_is_described_and_its_block_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"{'the ' * n}fox,{'good' if n % 3 else 'bad'}\n" for n in range(9)))
    page = preview(str(path), tokenizer=bert_like(), max_length=6)
    assert "9 rows; splits: train" in page and "columns: text (string), label (string)" in page
    assert "kind: classification; text: text; label: label" in page
    assert "median 5" in page and "longer than max_length 6: 3 of 9 rows" in page and "label: good 6, bad 3" in page
    assert "5. text: the the the the fox" in page and "6. text" not in page
    block = yaml.safe_load(page[page.index("data:") :])["data"]
    part = DataPart.model_validate(block)
    assert (part.path, part.kind, part.task) == (str(path), "classification", None) and "validation" in part.splits


GUESSES = {
    "chat": {"messages": [[{"role": "user", "content": "a"}]]},
    "question_answering": {"question": ["a"], "context": ["b"], "answers": [{"text": ["b"], "answer_start": [0]}]},
    "token_classification": {"tokens": [["a"]], "ner_tags": [["O"]]},
    "instructions": {"instruction": ["a"], "input": [""], "output": ["b"]},
    "regression": {"text": ["a", "b"], "label": [1.5, 2.0]},
    "classification": {"premise": ["a"], "hypothesis": ["b"], "label": [1]},
    "multi_label": {"text": ["a"], "labels": [["x", "y"]]},
    "causal_lm": {"text": ["a"]},
}


@pytest.mark.parametrize("kind", GUESSES)
def test_the_kind_is_guessed_from_the_columns(kind: str) -> None:
    assert guess_kind(Table(datasets.Dataset.from_dict(GUESSES[kind]), "here")) == kind


def test_columns_of_no_kind_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"one": "a", "two": "b"}) + "\n")
    with pytest.raises(ValueError, match=r"has the columns one, two, .*Give --kind: classification, multi_label"):
        preview(str(path))
