import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from causalkd.data.tasks.own_data import OwnData, PartOf
from causalkd.data.tasks.preview import preview
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
    assert (
        "median 5" in page
        and "rows longer than max_length 6: 3 of 9 (in tokens, special tokens not counted)" in page
        and "label: good 6, bad 3" in page
    )
    assert "5. text: the the the the fox" in page and "6. text" not in page
    block = yaml.safe_load(page[page.index("data:") :])["data"]
    part = DataPart.model_validate(block)
    assert (part.path, part.kind, part.task) == (str(path), "classification", None) and "validation" in part.splits


def test_columns_with_names_of_their_own_are_found_by_their_values(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    rows = "".join(f"{n},the fox sat {n},{n % 3 + 1}\n" for n in range(30))
    path.write_text("id,comment,stars\n" + rows)
    page = preview(str(path))
    assert "kind: classification; text: comment; label: stars" in page and "stars: 1 10, 2 10, 3 10" in page
    assert yaml.safe_load(page[page.index("data:") :])["data"]["columns"] == {"text": "comment", "label": "stars"}


def test_rows_that_a_recipe_would_refuse_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nthe fox,a\na cat,\na dog,b\n")
    page = preview(str(path))
    assert "label: a 1, b 1; 1 without a label" in page
    assert "A recipe cannot use these rows as they are: " in page and "row 2, column 'label': '' (str)" in page
    (tmp_path / "b.jsonl").write_text('{"messages": []}\n')
    assert "row 1, column 'messages': [] (list)" in preview(str(tmp_path / "b.jsonl"))
    (tmp_path / "c.jsonl").write_text('{"text": "a"}\n{"text": null}\n')
    assert "row 2, column 'text': None" in preview(str(tmp_path / "c.jsonl"))
    path.write_text("text,label\nthe fox,a\na cat,b\n")
    assert "row 1, column 'label': 'a' (str); row 2, column 'label': 'b' (str), where a number must stand" in preview(
        str(path), "regression"
    )
    (tmp_path / "d.json").write_text(
        '[{"text":"a","label":1.5},{"text":"b","label":"x"},{"text":"c","label":null},{"text":"d","label":"x"}]'
    )
    page = preview(str(tmp_path / "d.json"))
    assert "rows 2, 4, column 'label': 'x' (str); row 3, column 'label': None (NoneType), where a number must" in page
    (tmp_path / "e.json").write_text(
        '[{"text":"a","label":1},{"text":"b","label":true},{"text":"c","label":null},{"text":"d","label":0}]'
    )
    page = preview(str(tmp_path / "e.json"), "classification")
    assert "row 3, column 'label': None (NoneType), where a label must stand" in page
    assert "has labels of true or false beside numbers: '0', '1', 'True'" in page
    path.write_text("text,label\n" + "the fox,a\n" * 4)
    assert "has 1 different values in 4 rows, which is too few or too many for classes" in preview(str(path))


def test_scores_are_summed_up(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "the fox", "score": n / 4}) + "\n" for n in range(9)))
    page = preview(str(tmp_path / "a.jsonl"))
    assert "score: 9 numbers, minimum 0, maximum 2, mean 1, standard deviation 0.6455\n" in page
    (tmp_path / "b.csv").write_text("text,score\na,1\nb,2.5\nc,x\nd,\n")
    found = (
        "score: 2 numbers, minimum 1, maximum 2.5, mean 1.75, standard deviation 0.75; 1 that are no numbers; 1 without"
    )
    assert found in preview(str(tmp_path / "b.csv"))
    (tmp_path / "b.csv").write_text("text,score\na,x\n")
    assert "score: no numbers; 1 that" in preview(str(tmp_path / "b.csv"))


def test_empty_texts_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nthe fox,a\n,b\n" * 2)
    assert "2 rows have an empty text\n" in preview(str(path))
    path.write_text("sentence1,sentence2,label\nthe fox, ,a\nfox,dog,b\n")
    assert "1 row has an empty text\n" in preview(str(path))
    path.write_text("instruction,input,output\nsing,,la\n")
    assert "empty text" not in preview(str(path))


def test_splits_without_labels_are_named(tmp_path: Path) -> None:
    for split, ends in (("train", ("a", "b")), ("validation", ("a", "b")), ("test", ("", ""))):
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "".join(f"the fox,{end}\n" for end in ends))
    assert "\ntest has no labels, so nothing can be measured there\n" in preview(str(tmp_path))
    (tmp_path / "validation.csv").write_text("text\nthe fox\n")
    assert "\ntest, validation have no labels, so" in preview(str(tmp_path))
    (tmp_path / "validation.csv").write_text("other\nthe fox\n")
    assert "\ntest has no labels, so" in preview(str(tmp_path))


_DRAWN = {"part_of": "train", "share": 0.1, "seed": 0}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val"), {}),
        (("train", "validation_matched"), {}),
        (("train", "test"), {"validation": _DRAWN}),
        (("train_sft", "train_gen"), {"train": "train_sft", "validation": _DRAWN}),
        (("train", "train_gen", "dev_a", "validation_b"), {"validation": "dev_a"}),
    ],
)
def test_the_splits_of_a_block_are_accepted(tmp_path: Path, names: tuple[str, ...], splits: dict[str, Any]) -> None:
    """The first one where several names fit; a part of the training split only where there is none for validation."""
    rows = datasets.Dataset.from_list([{"text": f"the fox {n}", "label": "ab"[n % 2]} for n in range(12)])
    datasets.DatasetDict(dict.fromkeys(names, rows)).save_to_disk(tmp_path / "both")
    page = preview(str(tmp_path / "both"))
    block = yaml.safe_load(page[page.index("data:") :])["data"]
    assert block.get("splits", {}) == splits and DataPart.model_validate(block)
    named = {split: PartOf("train", 0.1) if name == _DRAWN else name for split, name in splits.items()}
    assert {"train", "validation"} <= set(OwnData(block["path"], block["kind"], splits=named).known_splits)


def test_of_one_text_a_share_of_what_it_is_cut_into_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("the fox ran\n" * 50)
    page = preview(str(tmp_path / "book.txt"))
    part = DataPart.model_validate(yaml.safe_load(page[page.index("data:") :])["data"])
    assert (part.kind, part.heldout_share, part.splits) == ("causal_lm", 0.1, {})


def test_columns_of_no_kind_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"one": "a", "two": "b"}) + "\n")
    with pytest.raises(ValueError, match=r"has the columns one, two, .*Give --kind: classification, multi_label"):
        preview(str(path))


def test_the_share_of_words_that_a_tokenizer_lacks_is_said(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("text,label\n" + "the жук,a\nfox dog,b\n" * 10)
    assert "unknown to the tokenizer: 25.0 % of tokens" in preview(str(path), tokenizer=bert_like())
    path.write_text("text,label\n" + "the fox,a\nfox dog,b\n" * 10)
    assert "unknown" not in preview(str(path), tokenizer=bert_like())
