import json
from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.kinds import Kind
from causalkd.data.tasks.loading import Examples, load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.split_parts import PartOf
from tests.data.tiny_tokenizers import bert_like, gpt2_like

TURNS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def loaded(own: OwnData, split: str = "train", **options) -> Examples:
    decoder = own.task == "causal_lm"
    return load_examples(own, split, gpt2_like() if decoder else bert_like(), **options)


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_csv_with_named_classes_and_two_texts(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('title,body,stars\nthe fox,"ran, fast",good\n2020,NA,bad\nlazy,"a ""dog""",fair\n')
    columns = {"text": ["title", "body"], "label": "stars"}
    own = OwnData(str(path), "classification", columns, ("bad", "fair", "good"), {"validation": PartOf("train", 0.34)})
    train, heldout = loaded(own), loaded(own, "validation")
    assert len(train.examples) == 2 and len(heldout.examples) == 1
    assert sorted(e["label"] for e in [*train.examples, *heldout.examples]) == [0, 1, 2]
    assert all(set(example["segments"]) == {"first", "second"} for example in train.examples)
    in_rows = OwnData(str(path), "classification", columns, splits={"validation": "train"})
    assert in_rows.label_names() == ("bad", "fair", "good")


def test_a_tsv_with_quotes_and_numbered_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"the\tfox"\t10\na cat\t9\nthe dog\t10\n')
    own = OwnData(str(path), "classification", splits={"validation": "train"})
    found = loaded(own)
    assert found.labels == ("9", "10") and [example["label"] for example in found.examples] == [1, 0, 1]


def test_json_lines_of_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(lines([{"text_a": "a cat", "text_b": "a dog", "score": n / 2} for n in range(10)]))
    found = loaded(OwnData(str(path), "regression"), "validation")
    assert found.metric == "spearman" and len(found.examples) == 1 and found.labels == ()
    train = loaded(OwnData(str(path), "regression", metrics=("pearson", "spearman")))
    assert (train.metric, train.further) == ("pearson", ("spearman",)) and len(train.examples) == 9


def test_several_labels_a_row_as_lists_or_as_columns(tmp_path: Path) -> None:
    rows = [{"text": "the fox", "labels": ["kind", "short"]}, {"text": "a cat", "labels": []}]
    rows += [{"text": "a dog", "labels": ["kind"]}]
    (tmp_path / "sets.jsonl").write_text(lines(rows))
    (tmp_path / "flags.csv").write_text("text,kind,short\nthe fox,1,1\na cat,0,0\na dog,1,0\n")
    same = {"validation": "train"}
    sets = loaded(OwnData(str(tmp_path / "sets.jsonl"), "multi_label", splits=same))
    columns = {"labels": ["kind", "short"]}
    flags = loaded(OwnData(str(tmp_path / "flags.csv"), "multi_label", columns, splits=same))
    for found in (sets, flags):
        assert found.labels == ("kind", "short") and (found.kind, found.metric) == ("multi_label", "micro_f1")
        assert [example["label"] for example in found.examples] == [(1, 1), (0, 0), (1, 0)]
    other = loaded(OwnData(str(tmp_path / "flags.csv"), "multi_label", columns, ("short", "kind"), same))
    assert [example["label"] for example in other.examples] == [(1, 1), (0, 0), (0, 1)]
    (tmp_path / "flags.csv").write_text("text,kind,short\nthe fox,yes,1\na cat,0,0\n")
    with pytest.raises(ValueError, match=r"row 1, column 'kind': 'yes' .*, where 0 or 1 must stand"):
        loaded(OwnData(str(tmp_path / "flags.csv"), "multi_label", columns, splits=same))
    with pytest.raises(ValueError, match=r"row 1, column 'kind': '1' .*where a list of labels, each once .or a column"):
        (tmp_path / "flags.csv").write_text("text,kind\nthe fox,1\na cat,0\n")
        loaded(OwnData(str(tmp_path / "flags.csv"), "multi_label", {"labels": "kind"}, splits=same))
    (tmp_path / "sets.jsonl").write_text(lines([{"text": "a", "labels": [0, 1]}, {"text": "b", "labels": [1, 0]}]))
    for names in ((), ("kind", "short")):
        with pytest.raises(ValueError, match=r"column 'labels' has a list of flags in each row, such as \[0, 1\]"):
            loaded(OwnData(str(tmp_path / "sets.jsonl"), "multi_label", labels=names, splits=same))
    (tmp_path / "sets.jsonl").write_text(lines([{"text": "a", "labels": ["kind", "kind"]}] * 2))
    with pytest.raises(
        ValueError, match=r"rows 1, 2, column 'labels': \['kind', 'kind'\] .*, where a list of labels, each"
    ):
        loaded(OwnData(str(tmp_path / "sets.jsonl"), "multi_label", labels=("kind", "short"), splits=same))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_columns_of_pairs_with_declared_classes(tmp_path: Path, ending: str) -> None:
    features = datasets.Features(
        premise=datasets.Value("string"),
        hypothesis=datasets.Value("string"),
        label=datasets.ClassLabel(names=["y", "n"]),
    )
    rows = {"premise": ["a cat", "the fox"], "hypothesis": ["a dog", "a fox"], "label": [1, 0]}
    table = datasets.Dataset.from_dict(rows, features=features)
    if ending == "parquet":
        table.to_parquet(tmp_path / "train.parquet")
        table.to_parquet(tmp_path / "dev.parquet")
        found = loaded(OwnData(str(tmp_path), "classification"), "validation")
    else:
        table.save_to_disk(tmp_path / "saved")
        (file,) = (tmp_path / "saved").glob("*.arrow")
        found = loaded(OwnData(str(file), "classification", splits={"validation": "train"}))
    assert found.labels == ("y", "n") and [example["label"] for example in found.examples] == [1, 0]


def test_a_conll_file_with_its_own_tags_in_iob1(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(
        "-DOCSTART- -X- O O\n\nParis NNP I-NP I-PLACE\nsings V O O\n\nfox N O I-THING\n"
    )
    found = loaded(OwnData(str(tmp_path / "train.conll"), "token_classification", splits={"validation": "train"}))
    tags = [[found.labels[label] for label in example["label"] if label >= 0] for example in found.examples]
    assert tags == [["B-PLACE", "O"], ["B-THING"]]


def test_nested_json_in_squads_form(tmp_path: Path) -> None:
    answers = [{"answer_start": 4, "text": "fox"}]
    paragraph = {
        "context": "the fox ran",
        "qas": [{"id": str(n), "question": "who ?", "answers": answers} for n in range(3)],
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    found = loaded(OwnData(str(path), "question_answering"))
    assert len(found.examples) == 2 and found.examples[0]["answers"] == ["fox"]


def test_a_folder_of_text_is_documents_with_ends_between(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("the quick fox\n" * 3)
    found = loaded(OwnData(str(tmp_path), "causal_lm", splits={"validation": "d.txt"}), max_length=64)
    tokens = [token for example in found.examples for token in example["input_ids"]]
    assert tokens.count(gpt2_like().eos_token_id) == 2
    assert len(loaded(OwnData(str(tmp_path), "causal_lm", splits={"validation": "c.txt"}), "validation").examples) == 1


def test_rows_of_text_are_documents(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(lines([{"text": "the fox"}] * 20))
    found = loaded(OwnData(str(tmp_path / "rows.jsonl"), "causal_lm"))
    tokens = [token for example in found.examples for token in example["input_ids"]]
    assert tokens.count(gpt2_like().eos_token_id) == 17
    assert found.examples[0]["label"] == [-100, *found.examples[0]["input_ids"][1:]]


def test_messages_are_learnt_where_the_assistant_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = gpt2_like()
    monkeypatch.setattr(tokenizer, "chat_template", TURNS)
    turns = [{"role": role, "content": f"the {n} fox"} for n, role in enumerate(["user", "assistant"] * 2)]
    (tmp_path / "chat.jsonl").write_text(lines([{"messages": turns}] * 10))
    found = load_examples(OwnData(str(tmp_path / "chat.jsonl"), "chat"), "train", tokenizer, None, 128, 128)
    labels = [label for label in found.examples[0]["label"] if label != -100]
    assert tokenizer.decode(labels) == "the 1 fox</s>\nthe 3 fox</s>\n"


def test_instructions_without_an_input(tmp_path: Path) -> None:
    (tmp_path / "i.jsonl").write_text(lines([{"prompt": "sing", "response": "the fox"}] * 10))
    found = load_examples(OwnData(str(tmp_path / "i.jsonl"), "instructions"), "train", gpt2_like(), None, 256, 256)
    assert len(found.examples) == 9 and found.metric == "perplexity"


def test_a_hub_name_takes_its_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder laid out as the hub lays out a data set stands in for it; the name is what is asked for."""
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        rows = {"text": ["the fox", "a cat"], "label": ["x", "y"]}
        datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    load, names = datasets.load_dataset, datasets.get_dataset_split_names
    at = {"me/mine": str(tmp_path)}
    monkeypatch.setattr(datasets, "load_dataset", lambda path, *rest, **more: load(at[path], *rest, **more))
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda path, *rest, **more: names(at[path], *rest, **more))
    found = loaded(OwnData("me/mine", "classification", splits={"validation": "test"}), "validation")
    assert [example["label"] for example in found.examples] == [0, 1]
    assert found.origin == "me/mine, split test, from the hub"


BAD = {
    "null": ([{"text": "a", "label": "x"}, {"text": None, "label": "x"}], "row 2, column 'text': None (NoneType)"),
    "number": (
        [{"text": 2020, "label": "x"}, {"text": 1, "label": "y"}],
        "row 1, column 'text': 2020 (int); row 2, column 'text': 1 (int), where a text",
    ),
    "list": ([{"text": ["a"], "label": "x"}, {"text": ["b"], "label": "y"}], "row 1, column 'text': ['a'] (list)"),
    "mixed": (
        [{"text": "a", "label": "x"}, {"text": 7, "label": "y"}],
        "row 2, column 'text': 7 (int), where a text must stand",
    ),
    "label": ([{"text": "a", "label": "x"}, {"text": "b", "label": None}], "row 2, column 'label': None"),
    "several": (
        [{"text": "a", "label": ["x", "y"]}] * 2,
        "has lists where classification has single labels. Use",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_values_of_the_wrong_type_are_named(tmp_path: Path, case: str) -> None:
    rows, message = BAD[case]
    path = tmp_path / "a.jsonl"
    path.write_text(lines(rows))
    with pytest.raises(ValueError) as error:
        labels = () if case == "several" else ("x", "y")
        loaded(OwnData(str(path), "classification", labels=labels, splits={"validation": "train"}))
    assert message in str(error.value) and str(path) in str(error.value)


def test_a_row_keeps_its_number_where_rows_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"text": "a", "label": "x"}] * 30 + [{"text": None, "label": "y"}] * 30))
    with pytest.raises(ValueError, match=r": rows?( (3[1-9]|[456]\d),)+ column 'text'") as error:
        loaded(OwnData(str(path), "classification"), limit=6)
    assert "row 1," not in str(error.value) and "rows 1," not in str(error.value)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n{"text": \n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: no JSON"):
        loaded(OwnData(str(path), "classification"))


def test_columns_and_splits_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("one,two\na,b\nc,d\n")
    with pytest.raises(
        ValueError, match=r"has the columns one, two: .*`text` usually is .*`columns.label` names \['x'\]"
    ):
        loaded(OwnData(str(path), "classification", {"label": "x"}, ("a", "b")))
    with pytest.raises(ValueError, match=r"no file in .* and not one of train"):
        loaded(OwnData(str(path), "classification", {"text": "one", "label": "two"}, splits={"train": "b.csv"}))
    with pytest.raises(ValueError, match="there is no data file at"):
        loaded(OwnData(str(tmp_path / "none.csv"), "classification"))
    with pytest.raises(ValueError, match=r"there is no data file at 'none.csv', seen from /.*\. Correct `path`"):
        loaded(OwnData("none.csv", "classification"))


def test_what_is_drawn_for_one_split_is_not_in_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"{'the ' * n}fox,{n % 2}\n" for n in range(30)))
    own = OwnData(str(path), "classification")
    lengths = [{len(e["input_ids"]) for e in loaded(own, split).examples} for split in ("train", "validation")]
    assert len(lengths[0]) == 27 and len(lengths[1]) == 3 and not lengths[0] & lengths[1]


@pytest.mark.parametrize("kind", ["chat", "instructions", "causal_lm", "regression", "question_answering"])
def test_labels_of_rows_that_have_none_are_refused(kind: Kind) -> None:
    with pytest.raises(
        ValueError, match=f"`labels` names classes or tags, and rows of kind {kind} have none: a, b given"
    ):
        OwnData("mine.jsonl", kind, labels=("a", "b"))


def test_a_column_or_a_label_cannot_be_named_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nthe fox,a\nthe cat,b\na dog,a\na bird,b\n")
    with pytest.raises(ValueError, match=r"'label' would fill two roles, so a model could read its own label"):
        loaded(OwnData(str(path), "classification", {"text": ("text", "label")}))
    with pytest.raises(ValueError, match=r"`labels` names b twice; name each label once"):
        OwnData(str(path), "classification", labels=("a", "b", "b"))


def test_ratings_are_classes_by_their_names(tmp_path: Path) -> None:
    """The numbers 1, 2, 3 are three classes and not the second, the third and one that is not there."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"the fox,{number % 3 + 1}\n" for number in range(9)))
    found = loaded(OwnData(str(path), "classification", splits={"validation": "train"}))
    assert found.labels == ("1", "2", "3") and [each["label"] for each in found.examples] == [0, 1, 2] * 3


def test_labels_that_differ_only_in_capitals_or_blanks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "the fox,True\nthe cat,False\na dog,true\na bird, False\n" * 4)
    with pytest.raises(
        ValueError, match=r"differ only in capitals, blanks or decimals: ' False', 'False', 'True', 'true'"
    ):
        loaded(OwnData(str(path), "classification"))
    names = ("True", "true", "False", " False")
    assert loaded(OwnData(str(path), "classification", labels=names)).labels == names


def test_a_text_file_of_tagged_words_is_in_conlls_format(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a O\nfox I-animal\n\nthe O\n" * 8)
    (tmp_path / "dev.txt").write_text("a O\n\nthe O\nfox I-animal\n")
    own = OwnData(str(tmp_path), "token_classification")
    assert own.rows(own.table("validation"))[1] == (["the", "fox"], ["O", "B-animal"])
    assert loaded(own).labels == ("B-animal", "O")


def test_the_mark_before_a_text_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the fox", encoding="utf-8-sig")
    assert OwnData(str(tmp_path / "a.txt"), "masked_lm", splits={"validation": "train"}).table("train").rows[0] == {
        "text": "the fox"
    }
