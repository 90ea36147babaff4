import json
from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.loading import TASKS, load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.raw_rows import drawn_rows, own_rows
from causalkd.data.tasks.readers import read_tsv
from causalkd.data.tasks.registry import LocalFile, TaskSpec
from causalkd.data.tasks.split_parts import PartOf
from tests.data.tiny_tokenizers import bert_like, gpt2_like


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_rows_are_drawn_in_their_order() -> None:
    assert drawn_rows(4, None, 0) == drawn_rows(4, 9, 0) == range(4)
    assert len(set(drawn_rows(40, 8, 0))) == 8 and drawn_rows(40, 8, 0) == sorted(drawn_rows(40, 8, 0))
    assert drawn_rows(40, 8, 0) != drawn_rows(40, 8, 1)


def test_rows_are_named_by_their_numbers_in_the_file_whichever_are_drawn(tmp_path: Path) -> None:
    path, splits = tmp_path / "a.jsonl", {"validation": PartOf("train", 0.2)}
    path.write_text(lines([{"text": "" if n in (30, 33) else f"the fox {n}", "label": n % 2} for n in range(40)]))
    for split in ("train", "validation"):
        own, rest = OwnData(str(path), "classification", splits=splits), {30, 33}
        rows = ", ".join(str(n + 1) for n in own.table(split).numbers or () if n in rest)
        if rows:
            with pytest.raises(ValueError, match=rf"texts without any token, rows {rows} of .*a\.jsonl"):
                load_examples(own, split, gpt2_like())
    path.write_text(lines([{"text": None if n == 25 else f"the fox {n}"} for n in range(30)]))
    with pytest.raises(ValueError, match=r"row 26 of .*a\.jsonl.*, column 'text': None is not a text"):
        load_examples(OwnData(str(path), "causal_lm"), "train", gpt2_like())
    answers = {"answer_start": [4], "text": ["fox"]}
    rows = [
        {"question": "who ? " * (50 if n == 35 else 1), "context": "the fox", "answers": answers} for n in range(40)
    ]
    path.write_text(lines(rows))
    with pytest.raises(ValueError, match=r"no room for their context within max_length 40, rows 36 of .*a\.jsonl"):
        load_examples(OwnData(str(path), "question_answering"), "train", bert_like(), max_length=40)


def test_rows_with_an_empty_text_are_told_where_data_are_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text, told in ((" ", ", 1 has an empty text"), (",a\n,a\n", ", 3 have an empty text"), ("the cat", "")):
        path.write_text(f"text,label\nthe fox,a\n{text},b\n")
        own = OwnData(str(path), "classification", validation_share=None)
        assert load_examples(own, "train", bert_like()).summary().endswith(f"examples of {path}{told}")


def test_whether_questions_may_lack_answers_is_of_the_whole_split(tmp_path: Path) -> None:
    path, none = tmp_path / "a.jsonl", {"answer_start": [], "text": []}
    for last in (none, {"answer_start": [4], "text": ["fox"]}):
        answers = [{"answer_start": [4], "text": ["fox"]}] * 39 + [last]
        path.write_text(lines([{"question": "who ?", "context": "the fox", "answers": each} for each in answers]))
        own = OwnData(str(path), "question_answering", validation_share=None)
        assert [row["may_lack"] for row in load_examples(own, "train", bert_like(), 2).examples] == [last is none] * 2


def test_instructions_may_lack_an_input_in_some_rows(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.jsonl", [{"instruction": "who ran ?", "output": "the cat"} for _ in range(20)]
    path.write_text(lines([row | ({"input": "a dog"} if n % 2 else {}) for n, row in enumerate(rows)]))
    own = OwnData(str(path), "instructions", validation_share=None)
    assert [row[1] for row in own_rows(own, "train", None, 0).values] == ["", "a dog"] * 10


def test_numbers_stand_for_labels_only_where_their_order_is_given(tmp_path: Path) -> None:
    for name, labels in (("train", ("ham", "spam")), ("dev", (0, 1))):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"fox {n},{labels[n % 2]}\n" for n in range(4)))
    with pytest.raises(
        ValueError, match=r"dev\.csv has labels outside .*'0' \(2 times\).*in the order of their numbers"
    ):
        load_examples(OwnData(str(tmp_path), "classification"), "validation", bert_like())
    own = OwnData(str(tmp_path), "classification", labels=("spam", "ham"))
    assert [row["label"] for row in load_examples(own, "validation", bert_like()).examples] == [0, 1, 0, 1]


def test_a_class_may_be_in_the_drawn_rows_alone(tmp_path: Path) -> None:
    path, part = tmp_path / "a.jsonl", PartOf("train", 0.1)
    path.write_text(lines([{"text": "fox", "label": "a"}] * 40))
    rare = (OwnData(str(path), "classification", splits={"validation": part}).table("validation").numbers or [])[0]
    path.write_text(lines([{"text": "fox", "label": "rare" if n == rare else "ab"[n % 2]} for n in range(40)]))
    own = OwnData(str(path), "classification", splits={"validation": part})
    assert load_examples(own, "validation", bert_like()).labels == ("a", "b", "rare")


def test_a_task_that_has_only_files_needs_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = LocalFile("mine/train.tsv", lambda path: read_tsv(path, ("text", "label")))
    spec = TaskSpec("only_here", "classification", ("text", "label"), ("no", "yes"), "accuracy", {"train": file})
    monkeypatch.setitem(TASKS, spec.name, spec)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"there is no file mine/train\.tsv in .* and the task is not on the hub\. Poi"
    ):
        load_examples("only_here", "train", bert_like())
