"""The data of a recipe: splits, shares, labels, limits."""

import json
from pathlib import Path
from typing import Any

import pytest

from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.tasks.loading import Examples, load_examples
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, TeacherPart, TrainingPart
from causalkd.recipe.study import Study
from causalkd.runs.setup.data import Data, build_data, data_of
from tests.data.tiny_tokenizers import WORDS, bert_like, gpt2_like
from tests.shrunk import planted_model
from tests.tiny import tiny


def test_both_splits_with_the_tokenizer_of_the_teacher(data: Data, tmp_path: Path) -> None:
    assert (len(data.train.examples), len(data.heldout.examples)) == (96, 24)
    assert data.labels == PlantedNLI().label_names and data.train.examples[0] != data.heldout.examples[0]
    planted_model().save_pretrained(tmp_path)
    part = TeacherPart(model=str(tmp_path))
    assert build_data(DataPart(train_limit=2, eval_limit=2), part).tokenizer.name_or_path == str(tmp_path)


def test_a_share_of_the_training_rows_is_held_out_and_the_validation_rows_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{'fox ' * (n + 1)},{'ab'[n % 2]}\n" for n in range(20)))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = DataPart.model_validate(
        {
            **{"path": str(tmp_path / "t.csv"), "kind": "classification", "tokenizer": str(tmp_path / "tokenizer")},
            **{"splits": {"train": str(tmp_path / "t.csv"), "validation": str(tmp_path / "none.csv")}},
        }
    )
    whole, *_ = (build_data(given.model_copy(update={"splits": {"train": given.path}}), part).train.examples,)
    data = build_data(given.model_copy(update={"heldout_share": 0.25}), part)
    again, other = (build_data(given.model_copy(update={"heldout_share": 0.25, "seed": s}), part) for s in (0, 1))
    both = [*data.train.examples, *data.heldout.examples]
    assert (len(data.train.examples), len(data.heldout.examples)) == (15, 5)
    assert all(one in both for one in whole) and not any(one in data.train.examples for one in data.heldout.examples)
    assert again.heldout.examples == data.heldout.examples != other.heldout.examples
    limited = build_data(given.model_copy(update={"heldout_share": 0.25, "eval_limit": 3}), part)
    assert len(limited.heldout.examples) == 3 and limited.train.examples == data.train.examples
    assert all(example in data.heldout.examples for example in limited.heldout.examples)
    with pytest.raises(
        ValueError, match=r"data.heldout_share: 0.01 of 20 training examples are 0; hold out at least 2"
    ):
        build_data(given.model_copy(update={"heldout_share": 0.01}), part)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"seed": 3, "train_limit": 60},
        {"splits": {"validation": {"part_of": "train", "share": 0.1, "seed": 4}}},
        {"splits": {"validation": "other.csv"}},
        {"task": "sst2"},
        {"task": "planted", "train_limit": 300, "eval_limit": 50},
    ],
)
def test_settings_are_chosen_on_what_the_study_trains_on(
    tmp_path: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, first in (("t", 0), ("other", 200)):
        rows = "".join(
            f"{chr(97 + n % 26)} {' fox' * (1 + n // 26)},{'xy'[n % 2]}\n" for n in range(first, first + 200)
        )
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{rows}")
    for split, first in (("train", 0), ("dev", 200)):
        (tmp_path / "SST-2").mkdir(exist_ok=True)
        rows = "".join(f"{chr(97 + n % 26)} {' fox' * (1 + n // 26)}\t{n % 2}\n" for n in range(first, first + 200))
        (tmp_path / "SST-2" / f"{split}.tsv").write_text(f"sentence\tlabel\n{rows}")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    own = {} if "task" in given else {"task": None, "path": str(tmp_path / "t.csv"), "kind": "classification"}
    own |= {} if given.get("task") == "planted" else {"tokenizer": str(tmp_path / "tokenizer")}
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    (tmp_path / "study.yaml").write_text(
        json.dumps(
            {
                "name": "s",
                "recipe": "quickstart",
                "grid": {"data": [{**own, **given}]},
                "choose": {"fields": {"training.learning_rate": [1e-3]}, "share": 0.2},
            }
        )
    )
    study = Study.load(tmp_path / "study.yaml")
    whole, choosing = (build_data(each.cells()[0].recipe.data, part) for each in (study, study.choosing()))

    def texts(*examples: Examples) -> list[str]:
        return sorted(str(row["input_ids"]) for each in examples for row in each.examples)

    assert not {*texts(whole.heldout)} & {*texts(choosing.train, choosing.heldout)}
    assert {*texts(choosing.train, choosing.heldout)} <= {*texts(whole.train)}


def test_how_many_rows_were_cut_is_told_of_all_rows_and_not_of_each_part(tmp_path: Path) -> None:
    rows = "".join(f"{'fox ' * (30 if n < 4 else 2)}{n},{'ab'[n % 2]}\n" for n in range(20))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = {"path": str(tmp_path / "t.csv"), "kind": "classification", "tokenizer": str(tmp_path / "tokenizer")}
    data = build_data(DataPart.model_validate({**given, "max_length": 16, "heldout_share": 0.25}), part)
    for examples in (data.train, data.heldout):
        assert (examples.truncated, examples.lost, examples.left_out) == (None, None, None)
        assert examples.summary().endswith("(of all its rows 4 cut to length)")


@pytest.mark.parametrize("task", ["planted", "planted_lm"])
def test_held_out_rows_of_a_generated_task_are_like_those_of_its_own_split_and_not_learned_from(task: str) -> None:
    given = DataPart.model_validate({"task": task, "train_limit": 1500, "eval_limit": 60})
    part = TeacherPart.model_validate(
        {"config": {"model_type": "bert" if task == "planted" else "gpt2"}, "training": {}}
    )
    own = build_data(given, part).heldout.examples[0]
    data = build_data(given.model_copy(update={"heldout_share": 0.2}), part)
    for row in data.heldout.examples:
        assert row.keys() == own.keys()
        if task == "planted_lm":
            assert sum(label >= 0 for label in row["label"]) == sum(label >= 0 for label in own["label"]) == 4
            words = row["text"].split()
            assert row["bytes"] == sum(1 + len(words[n - 1]) for n, label in enumerate(row["label"]) if label >= 0)
    held, learned = ({tuple(row["input_ids"]) for row in each.examples} for each in (data.heldout, data.train))
    assert len(data.heldout.examples) == 60 and not held & learned
    assert f"without {1500 - len(data.train.examples)} that are held out or equal one of these" in data.train.origin


def test_the_windows_of_a_question_are_not_divided(tmp_path: Path) -> None:
    rows = [
        {"question": f"who {n}", "context": "he", "answers": {"text": ["he"], "answer_start": [0]}} for n in range(9)
    ]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = DataPart(
        path=str(tmp_path / "t.jsonl"),
        kind="question_answering",
        tokenizer=str(tmp_path / "tokenizer"),
        max_length=16,
        heldout_share=0.3,
    )
    with pytest.raises(ValueError, match="windows of one question would be on both sides"):
        build_data(given, part)


def test_the_seed_of_the_data(recipe: Recipe, data: Data) -> None:
    other = build_data(recipe.data.model_copy(update={"seed": 1}), recipe.teacher)
    assert other.train.examples[0] != data.train.examples[0]


def test_an_end_token_stands_in_for_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lm").mkdir()
    for name in ("enwiki_gensim.txt", "wikitext2.raw.valid.txt"):
        (tmp_path / "lm" / name).write_text(WORDS * 3)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    gpt2_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "gpt2"}, "training": {}})
    data = build_data(DataPart(task="wikitext_causal_lm", max_length=8, tokenizer=str(tmp_path / "tokenizer")), part)
    assert data.tokenizer.pad_token == "<|endoftext|>" and data.labels is None


def test_a_tokenizer_that_cannot_fill_rows_up(tmp_path: Path) -> None:
    tokenizer = bert_like().__class__(tokenizer_object=bert_like().backend_tokenizer)
    tokenizer.save_pretrained(tmp_path)
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    with pytest.raises(ValueError, match="has neither a padding nor an end token to fill rows up with; give it a padd"):
        build_data(DataPart(task="sst2", tokenizer=str(tmp_path)), part)


def test_labels_take_the_order_of_the_teachers_checkpoint(tmp_path: Path) -> None:
    model = tiny("bert", "classification", labels=2)
    model.config.id2label = {0: "Good", 1: "bad"}
    model.save_pretrained(tmp_path / "teacher")
    bert_like().save_pretrained(tmp_path / "teacher")
    (tmp_path / "a.csv").write_text("text,label\n" + "the fox,good\na cat,bad\n" * 5)
    part = DataPart.model_validate({"path": str(tmp_path / "a.csv"), "kind": "classification"})
    data = build_data(part, TeacherPart(model=str(tmp_path / "teacher")))
    assert data.train.labels == data.heldout.labels == ("good", "bad")
    named = load_examples(data_of(part), "train", bert_like())
    assert named.labels == ("bad", "good")
    assert [data.train.labels[e["label"]] for e in data.train.examples] == [
        named.labels[e["label"]] for e in named.examples
    ]


def test_tags_take_the_order_of_the_teachers_checkpoint(tmp_path: Path) -> None:
    model = tiny("bert", "token_classification", labels=3)
    model.config.id2label = {0: "O", 1: "B-x", 2: "I-x"}
    model.save_pretrained(tmp_path / "teacher")
    bert_like().save_pretrained(tmp_path / "teacher")
    rows = [{"words": ["a", "fox", "ran"], "tags": ["O", "B-x", "I-x"]}] * 4
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    part = DataPart.model_validate({"path": str(tmp_path / "a.jsonl"), "kind": "token_classification"})
    data = build_data(part, TeacherPart(model=str(tmp_path / "teacher")))
    assert data.train.labels == ("O", "B-x", "I-x")
    assert data.train.examples[0]["tags"] == [0, 1, 2]
    assert [label for label in data.train.examples[0]["label"] if label >= 0] == [0, 1, 2]


def test_no_row_is_lost_where_a_share_of_the_examples_is_held_out(tmp_path: Path) -> None:
    """Also of one text, which has no rows to draw from."""
    bert_like().save_pretrained(tmp_path / "tokenizer")
    (tmp_path / "a.csv").write_text("text,label\n" + "the fox,a\na cat,b\n" * 10)
    (tmp_path / "book.txt").write_text(" ".join([WORDS] * 30))
    fresh = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {"steps": 1}})
    shared = {"tokenizer": str(tmp_path / "tokenizer"), "heldout_share": 0.2, "max_length": 16}
    data = build_data(DataPart.model_validate({"path": f"{tmp_path}/a.csv", "kind": "classification", **shared}), fresh)
    assert (len(data.train.examples), len(data.heldout.examples)) == (16, 4)
    data = build_data(DataPart.model_validate({"path": f"{tmp_path}/book.txt", "kind": "masked_lm", **shared}), fresh)
    assert len(data.heldout.examples) >= 2 and len(data.train.examples) >= 2 * len(data.heldout.examples)


def test_metrics_of_another_kind_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"a b {n},{'xyz'[n % 3]}\n" for n in range(30)))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    given = {"path": str(tmp_path / "mine.csv"), "kind": "classification", "tokenizer": str(tmp_path / "tokenizer")}
    teacher = TeacherPart(config={"model_type": "bert"}, training=TrainingPart(steps=1))
    for metrics, message in ((("pearson",), "is for regression"), (("accuracy", "f1"), "there are 3; use macro_f1")):
        with pytest.raises(ValueError, match=message):
            build_data(DataPart(**given, metrics=metrics), teacher)
    data = build_data(DataPart(**given, metrics=("macro_f1", "accuracy")), teacher)
    assert (data.heldout.metric, data.heldout.further) == ("macro_f1", ("accuracy",))


def test_a_model_is_not_measured_on_what_it_learns_from(tmp_path: Path) -> None:
    bert_like().save_pretrained(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,label\n" + "the fox,a\na cat,b\n" * 4)
    own = {"path": str(tmp_path / "a.csv"), "kind": "classification", "tokenizer": str(tmp_path)}
    fresh = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {"steps": 1}})
    for same in ("train", "a.csv"):
        with pytest.raises(ValueError, match=r"are the same rows, .*a\.csv; so models would be measured on what they"):
            build_data(DataPart.model_validate({**own, "splits": {"validation": same}}), fresh)
    assert build_data(DataPart.model_validate({**own, "splits": {"validation": "b.csv"}}), fresh).labels == ("a", "b")
    part = {"part_of": "more", "share": 0.5}
    for split, others in {
        "validation": {"train": "*.csv", "validation": "b.csv"},
        "test": {"train": "a.csv", "validation": "b.csv", "test": "a.csv"},
        "validation ": {"train": "a.csv", "more": "*.csv", "validation": part},
    }.items():
        message = (
            rf"the {split.strip()} split are the same rows, or share some: .*\.csv; so models would be measured on"
        )
        with pytest.raises(ValueError, match=message):
            build_data(DataPart.model_validate({**own, "path": str(tmp_path), "splits": others}), fresh)


def test_a_tokenizer_without_a_word_of_the_rows_is_refused(tmp_path: Path) -> None:
    """All rows of one length would be one row."""
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{'жук ' * (n + 1)},{'ab'[n % 2]}\n" for n in range(20)))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = DataPart(path=str(tmp_path / "t.csv"), kind="classification", tokenizer=str(tmp_path / "tokenizer"))
    with pytest.raises(ValueError, match=r"none of the words of the first 18 training rows: every token is '\[UNK\]'"):
        build_data(given, part)
    (tmp_path / "t.csv").write_text("text,label\n" + "fox жук,a\nжук dog,b\n" * 20)
    assert len(build_data(given, part).train.examples) == 36
