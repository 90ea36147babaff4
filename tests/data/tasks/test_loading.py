import json
import re
from pathlib import Path

import datasets
import pytest

from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.tasks.loading import TASKS, load_examples
from causalkd.data.tasks.registry import TaskSpec
from tests.data.tiny_tokenizers import bert_like, gpt2_like

SMALLER_SPLITS = [
    (name, split)
    for name, spec in TASKS.items()
    if spec.files and spec.fields != ("text",)
    for split in spec.splits[1:]
]
QUESTIONS = {
    "question": ["who ?", "where ?"],
    "context": ["the fox ran", "a cat in Paris"],
    "answers": [{"text": ["fox"], "answer_start": [4]}, {"text": ["Paris"], "answer_start": [9]}],
}
FILES = {
    "glue/SST-2/train.tsv": "sentence\tlabel\nfine , a fox \t1\nlazy dog \t0\nthe \t0\n",
    "glue/CoLA/dev.tsv": "x\t1\t\tthe fox ran\nx\t0\t*\tfox the\n",
    "glue/MRPC/train.tsv": 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\t" the fox\tthe " dog\n',
    "glue/STS-B/dev.tsv": "index\tsentence1\tsentence2\tscore\n0\ta cat\ta dog\t2.400\n",
    "glue/MNLI-sample/dev.jsonl": '{"text_a": "a cat", "text_b": "a dog", "label": "contradiction"}\n',
    "glue/QNLI/dev.tsv": "index\tquestion\tsentence\tlabel\n0\twho ?\tthe fox\tnot_entailment\n",
    "wnut17/wnut17train.conll": "Paris\tB-location\nsings\tO\n\t\nfox\tB-product\n",
    "squad/train_merged.jsonl": "".join(
        json.dumps(dict(zip(QUESTIONS, row, strict=True))) + "\n" for row in zip(*QUESTIONS.values(), strict=True)
    ),
    "lm/wikitext2.raw.test.txt": " = the fox = \n the quick brown fox jumps over the lazy dog .\n" * 20,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    return tmp_path


LOADED = [
    ("sst2", "train", [1, 0, 0]),
    ("cola", "validation", [1, 0]),
    ("mrpc", "train", [1]),
    ("stsb", "validation", [2.4]),
    ("mnli", "validation", [2]),
    ("qnli", "validation", [1]),
    ("squad", "train", ["fox", "Paris"]),
]


@pytest.mark.parametrize(("task", "split", "labels"), LOADED, ids=[case[0] for case in LOADED])
def test_local_files_become_examples(folder: Path, task: str, split: str, labels: list) -> None:
    loaded = load_examples(task, split, bert_like())
    assert (loaded.kind, loaded.labels, loaded.metric) == (TASKS[task].kind, TASKS[task].labels, TASKS[task].metric)
    found = [example["label"] for example in loaded.examples]
    if task == "squad":
        offsets = [(e["offsets"][e["label"][0]][0], e["offsets"][e["label"][1]][1]) for e in loaded.examples]
        found = [e["text"][slice(*ends)] for e, ends in zip(loaded.examples, offsets, strict=True)]
    assert found == labels
    file = TASKS[task].files[split]
    assert file.path in loaded.origin and file.note in loaded.origin
    what = f"{len(labels)} windows of 2 questions" if task == "squad" else f"{len(labels)} examples"
    assert loaded.summary() == f"{what} of {loaded.origin}"


def test_tags_become_numbers_of_the_tag_set(folder: Path) -> None:
    loaded = load_examples("wnut17", "train", bert_like())
    labels = [[label for label in example["label"] if label != -100] for example in loaded.examples]
    assert [[loaded.labels[label] for label in row] for row in labels] == [["B-location", "O"], ["B-product"]]


def test_language_models_get_blocks_with_labels_where_the_next_token_is_asked_for(folder: Path) -> None:
    causal = load_examples("wikitext_causal_lm", "test", gpt2_like(), max_length=16, limit=3)
    assert [len(example["input_ids"]) for example in causal.examples] == [16, 16, 16]
    assert all(example["label"] == [-100, *example["input_ids"][1:]] for example in causal.examples)
    masked = load_examples("wikitext_masked_lm", "test", bert_like(), max_length=16, limit=3)
    assert len(masked.examples) == 3 and not any("label" in example for example in masked.examples)


def test_limit_draws_rows_by_the_seed_and_keeps_their_order(folder: Path) -> None:
    rows = "".join(f"{'the ' * (number + 1)}\t{number % 2}\n" for number in range(20))
    (folder / "glue/SST-2/train.tsv").write_text("sentence\tlabel\n" + rows)
    lengths = [
        [len(example["input_ids"]) for example in load_examples("sst2", "train", bert_like(), 5, seed=seed).examples]
        for seed in (0, 0, 1)
    ]
    assert lengths[0] == lengths[1] == sorted(lengths[0]) and len(set(lengths[0])) == 5
    assert lengths[0] != lengths[2] and lengths[0] != [3, 4, 5, 6, 7]


def test_cutting_is_reported(folder: Path) -> None:
    loaded = load_examples("sst2", "train", bert_like(), max_length=3)
    assert [example["label"] for example in loaded.examples] == [1, 0, 0] and loaded.truncated == 2
    assert loaded.summary() == "3 examples of glue/SST-2/train.tsv, 2 cut to length"


def test_the_usual_length_is_what_the_model_takes(folder: Path) -> None:
    loaded = load_examples("sst2", "train", bert_like(), model_limit=4)
    assert max(len(example["input_ids"]) for example in loaded.examples) == 4


def test_all_faults_of_a_request_are_said_at_once() -> None:
    with pytest.raises(ValueError) as error:
        load_examples("sst2", "test", bert_like(), limit=0, max_length=65)
    message = str(error.value)
    assert "task 'sst2': it has no labelled split 'test'; it has train, validation" in message
    assert "limit 0 leaves no examples; give at least 1" in message
    assert "max_length 65 is more than the 64 tokens the model takes; give at most that" in message


BAD_ROWS = [
    (
        "SST-2",
        "sentence\tlabel\n",
        "sst2",
        "glue/SST-2/train.tsv has no rows, so there is nothing to run on. Give a file",
    ),
    ("SST-2", "sentence\tlabel\na\t2\nb\t0\nc\tx\n", "sst2", "outside the task's set: '2' (1 times), 'x' (1 times)"),
    (
        "STS-B",
        "sentence1\tsentence2\tscore\na\tb\thigh\n",
        "stsb",
        "row 1, column 'label': 'high' (str), where a number must",
    ),
    (
        "STS-B",
        "sentence1\tsentence2\tscore\na\tb\tnan\n",
        "stsb",
        "row 1, column 'label': 'nan' (str), where a number must",
    ),
]


@pytest.mark.parametrize(("name", "text", "task", "message"), BAD_ROWS, ids=["empty", "label", "score", "nan"])
def test_rows_that_will_not_do_are_one_error(folder: Path, name: str, text: str, task: str, message: str) -> None:
    path = folder / f"glue/{name}/train.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_examples(task, "train", bert_like())
    assert message in str(error.value)


WRONG_TYPES = [
    (
        "mnli",
        "glue/MNLI-sample/train.jsonl",
        {"text_a": "a cat", "text_b": None, "label": "neutral"},
        "None (NoneType)",
    ),
    ("mnli", "glue/MNLI-sample/train.jsonl", {"text_a": "a cat", "text_b": 2020, "label": "neutral"}, "2020 (int)"),
    (
        "squad",
        "squad/train_merged.jsonl",
        {"question": None, "context": "a", "answers": QUESTIONS["answers"][0]},
        "None",
    ),
    ("instruct", "instruct/alpaca_en_demo.jsonl", {"instruction": "sing", "output": ["a", "b"]}, "['a', 'b'] (list)"),
]


@pytest.mark.parametrize(("task", "file", "row", "shown"), WRONG_TYPES)
def test_values_of_another_type_are_one_error(folder: Path, task: str, file: str, row: dict, shown: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True, parents=True)
    (folder / file).write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError) as error:
        load_examples(task, "train", gpt2_like() if task == "instruct" else bert_like())
    assert f"{file}" in str(error.value) and "row 1, column " in str(error.value)
    assert shown in str(error.value) and "where a text must stand" in str(error.value)


def test_a_file_in_another_encoding_is_named(folder: Path) -> None:
    path = folder / "glue/SST-2/train.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("sentence\tlabel\ncafé\t1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"glue/SST-2/train\.tsv is not text in UTF-8: .*Convert it"):
        load_examples("sst2", "train", bert_like())


def test_a_missing_file_says_both_ways_out(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no file .*glue/RTE/train.tsv. Point CAUSALKD_DATA at .* or unset it to load"
    ):
        load_examples("rte", "train", bert_like())


def hub(monkeypatch: pytest.MonkeyPatch, tables: dict) -> None:
    """Lets `datasets` find these tables, by (repository, configuration, split, revision), and nothing else."""

    def load_dataset(path, name=None, split=None, revision=None):
        if (path, name, split, revision) not in tables:
            raise ConnectionError(f"Couldn't reach '{path}' on the Hub")
        return datasets.Dataset.from_dict(tables[path, name, split, revision])

    monkeypatch.delenv("CAUSALKD_DATA", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


def test_without_the_variable_rows_come_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    mnli = {"premise": ["a cat", "the fox"], "hypothesis": ["a dog", "a fox"], "label": [2, 1], "idx": [0, 1]}
    wnut = {"tokens": [["Paris", "sings"]], "ner_tags": [[7, 0]]}
    text = {"text": ["", " = the fox = \n", " the quick brown fox \n"]}
    tables = {
        ("nyu-mll/glue", "mnli", "validation_matched", None): mnli,
        ("leondz/wnut_17", None, "test", "refs/convert/parquet"): wnut,
        ("rajpurkar/squad", None, "train", None): QUESTIONS,
        ("Salesforce/wikitext", "wikitext-2-raw-v1", "test", None): text,
    }
    hub(monkeypatch, tables)
    loaded = load_examples("mnli", "validation", bert_like())
    assert [example["label"] for example in loaded.examples] == [2, 1]
    assert loaded.origin == "nyu-mll/glue, split validation_matched, from the hub"
    (tagged,) = load_examples("wnut17", "test", bert_like()).examples
    assert [TASKS["wnut17"].labels[label] for label in tagged["label"] if label != -100] == ["B-location", "O"]
    assert len(load_examples("squad", "train", bert_like()).examples) == 2
    (block,) = load_examples("wikitext_masked_lm", "test", bert_like()).examples
    assert block["input_ids"] == bert_like()("".join(text["text"]))["input_ids"]


def test_without_either_the_error_says_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, {})
    with pytest.raises(ValueError, match=r"CAUSALKD_DATA is not set, and the hub cannot be reached") as error:
        load_examples("sst2", "train", bert_like())
    assert "a folder with glue/SST-2/train.tsv, or load nyu-mll/glue where there is a network" in str(error.value)


def test_a_task_that_is_only_on_the_hub_needs_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = TaskSpec("only_there", "classification", ("text", "label"), ("no", "yes"), "accuracy", hub=("me/mine",))
    monkeypatch.setitem(TASKS, spec.name, spec)
    hub(monkeypatch, {("me/mine", None, "train", None): {"text": ["a"], "label": [1]}})
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    assert [example["label"] for example in load_examples("only_there", "train", bert_like()).examples] == [1]
    hub(monkeypatch, {})
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"task 'only_there': me/mine cannot be read from the hub \("):
        load_examples("only_there", "train", bert_like())


def test_the_planted_task_is_generated() -> None:
    tokenizer = PlantedNLI().tokenizer()
    loaded = load_examples("planted", "validation", tokenizer, limit=30, seed=3)
    assert loaded.examples == PlantedNLI().examples("heldout", 30, 3)
    assert loaded.labels == PlantedNLI().label_names and loaded.kind == "classification"
    assert loaded.examples != load_examples("planted", "validation", tokenizer, limit=30, seed=4).examples


def test_the_planted_task_needs_its_own_vocabulary_and_room() -> None:
    with pytest.raises(ValueError, match=r"vocabulary of its own.*is PlantedNLI\(\)\.tokenizer\(\)"):
        load_examples("planted", "train", bert_like())
    with pytest.raises(ValueError, match=r"has 11 tokens a row, more than max_length 8: allow as many"):
        load_examples("planted", "train", PlantedNLI().tokenizer(), limit=3, max_length=8)


@pytest.mark.needs_data
@pytest.mark.parametrize(("task", "split"), SMALLER_SPLITS)
def test_real_rows_become_examples(data_folder: Path, task: str, split: str) -> None:
    if not (data_folder / TASKS[task].files[split].path).is_file():
        pytest.skip(f"the folder of real data has no {TASKS[task].files[split].path}")
    tokenizer = gpt2_like() if TASKS[task].kind == "causal_lm" else bert_like()
    loaded = load_examples(task, split, tokenizer, limit=70, max_length=192, model_limit=192)
    rows = {example.get("question", number) for number, example in enumerate(loaded.examples)}
    assert len(rows) + loaded.left_out == 70  # the windows of one question are one row
    lengths = [len(example["input_ids"]) for example in loaded.examples]
    assert max(lengths) <= 192 and loaded.truncated <= lengths.count(192)


@pytest.mark.needs_data
def test_real_text_becomes_blocks(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (data_folder / "lm" / "wikitext2.raw.test.txt").read_text(encoding="utf-8").lstrip(" \n")[:20_000]
    text = f" {text}"
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "wikitext2.raw.test.txt").write_text(text, encoding="utf-8")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    loaded = load_examples("wikitext_causal_lm", "test", gpt2_like(), max_length=64)
    tokens = [token for example in loaded.examples for token in example["input_ids"]]
    end = gpt2_like().eos_token_id
    decoded = gpt2_like().decode([token for token in tokens if token != end])
    assert text.startswith(decoded[:-1]) and len(decoded) > 19_980
    assert tokens.count(end) == len(re.findall(r"^ = [^=\n]+ = $", text, re.MULTILINE)) - 1 > 0
