"""The named tasks read the files of their data sets as these are published."""

import json
from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.loading import TASKS, load_examples
from tests.data.tiny_tokenizers import bert_like, gpt2_like

PAIR = "index\tsentence1\tsentence2\tlabel\n"
STSB = ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score")
OFFICIAL = {
    "SST-2/train.tsv": 'sentence\tlabel\nthe fox ran \t1\na "lazy dog \t0\n',
    "CoLA/dev.tsv": "gj04\t1\t\tThe fox ran.\ngj04\t0\t*\tRan fox the.\n",
    "MRPC/dev.tsv": '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tthe "fox ran\ta fox ran\n',
    "RTE/dev.tsv": f"{PAIR}0\tthe fox\ta dog\tnot_entailment\n1\ta cat\ta cat\tentailment\n",
    "WNLI/dev.tsv": f"{PAIR}0\tthe fox\ta dog\t1\n1\ta cat\ta cat\t0\n",
    "STS-B/dev.tsv": "\t".join(STSB) + "\n0\tnews\tf\t2012\t1\tnone\tnone\ta cat\ta dog\t3.800\n",
    "MNLI/dev_matched.tsv": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta cat\ta dog\tneutral\tentailment\n",
    "MNLI/dev_mismatched.tsv": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\ta dog\tneutral\tcontradiction\n",
    "QQP/dev.tsv": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\twho ?\twhere ?\t1\n",
    "QNLI/train.tsv": "index\tquestion\tsentence\tlabel\n0\twho ?\tthe fox\tentailment\n",
    "conll2003/eng.testa": "-DOCSTART- -X- O O\n\nParis NNP I-NP I-LOC\nran VBD I-VP O\n\ncat NN I-NP B-ORG\n",
    "conll2003/train.txt": "-DOCSTART- -X- -X- O\n\nParis NNP B-NP B-LOC\n\n",
    "wnut17/emerging.dev.conll": "the\tO\nfox\tB-group\nran\tI-group\n\ncat\tO\n\n",
    "wikitext-2-raw/wiki.valid.raw": " \n = The fox = \n \n the fox ran \n \n = A cat = \n \n a cat sat \n",
    "wikitext-103-raw/wiki.test.raw": " \n = Birds = \n \n birds sing \n",
    "instruct/dolly_eval.jsonl": '{"instruction": "sing", "input": "", "output": "the fox"}\n',
}
"""Rows in the published forms, as the archives lay them out."""
OFFICIAL_LABELS = [
    ("sst2", "train", [1, 0]),
    ("cola", "validation", [1, 0]),
    ("mrpc", "validation", [1]),
    ("rte", "validation", [1, 0]),
    ("wnli", "validation", [1, 0]),
    ("stsb", "validation", [3.8]),
    ("mnli", "validation", [0]),
    ("mnli_mismatched", "validation", [2]),
    ("qqp", "validation", [1]),
    ("qnli", "train", [0]),
]
"""The labels of each task's rows."""
TEXTS = [
    ("wikitext_causal_lm", "validation", 2),
    ("wikitext_masked_lm", "validation", 2),
    ("wikitext103_causal_lm", "test", 1),
    ("wikitext103_masked_lm", "test", 1),
]
"""How many articles each text has."""
OTHERS = ("squad", "squad_v2", "conll2003", "wnut17", "instruct")


def test_every_task_with_files_has_its_published_form_here() -> None:
    here = {*OTHERS, *(case[0] for case in (*OFFICIAL_LABELS, *TEXTS))}
    assert here == {name for name, spec in TASKS.items() if spec.files}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


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
    (trained,) = load_examples("conll2003", "train", bert_like()).examples
    assert [loaded.labels[label] for label in trained["label"] if label >= 0] == ["B-LOC"]
    tagged = load_examples("wnut17", "validation", bert_like())
    tags = [[tagged.labels[label] for label in example["tags"]] for example in tagged.examples]
    assert tags == [["O", "B-group", "I-group"], ["O"]]
    (answered,) = load_examples("squad", "validation", bert_like()).examples
    assert answered["answers"] == ["fox"]
    spec = TASKS["squad_v2"]
    rows = spec.files["validation"].read(official / "dev-v2.0.json")
    assert [answers for *_, answers in rows] == [[(4, "fox")], []]


@pytest.mark.parametrize(("task", "split", "articles"), TEXTS, ids=[case[0] for case in TEXTS])
def test_official_text_is_read_as_documents(official: Path, task: str, split: str, articles: int) -> None:
    tokenizer = gpt2_like() if "causal" in task else bert_like()
    loaded = load_examples(task, split, tokenizer, max_length=24, model_limit=24)
    tokens = [token for example in loaded.examples for token in example["input_ids"]]
    if "causal" in task:
        assert tokens.count(tokenizer.eos_token_id) == articles - 1, "an end token between documents"
    assert loaded.origin.endswith(".raw") and loaded.kind == TASKS[task].kind


def test_official_instructions_are_read(official: Path) -> None:
    (example,) = load_examples("instruct", "validation", gpt2_like(), None, 256, 256).examples
    assert set(example["segments"]) == {"prompt", "response"}


HUB = {
    "classification": [0],
    "regression": [1.5],
    "token_classification": [[0, 1]],
    "question_answering": [{"text": ["fox"], "answer_start": [4]}],
}


@pytest.mark.parametrize("task", [name for name, spec in TASKS.items() if spec.hub])
def test_a_task_without_its_files_falls_back_to_the_hub_by_itself(
    task: str, official: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has other tasks' files, but none of this one's."""
    spec, asked = TASKS[task], []
    folder = tmp_path_factory.mktemp("data")
    (folder / "SST-2x").mkdir()
    monkeypatch.setenv("CAUSALKD_DATA", str(folder))
    texts = [["the", "fox"]] if spec.kind == "token_classification" else ["the fox ran"]
    columns = dict.fromkeys(spec.fields, texts)
    if spec.kind in HUB:
        columns[spec.fields[-1]] = HUB[spec.kind]

    def load(*given, **options):
        asked.append((*given, options["split"]))
        return datasets.Dataset.from_dict(columns)

    monkeypatch.setattr(datasets, "load_dataset", load)
    tokenizer = gpt2_like() if spec.kind == "causal_lm" else bert_like()
    loaded = load_examples(task, "validation", tokenizer, None, 256, 256)
    assert len(loaded.examples) == 1 and loaded.origin.endswith("from the hub")
    configuration = spec.hub[1] if len(spec.hub) > 1 else None
    assert asked == [(spec.hub[0], configuration, spec.hub_splits.get("validation", "validation"))]
