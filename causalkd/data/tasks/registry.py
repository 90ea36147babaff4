"""The table of tasks: where the rows of each come from, what is predicted, how it is scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Literal

from causalkd.data.tasks import readers as files
from causalkd.task_types import Task

Split = Literal["train", "validation", "test"]
Metric = Literal["accuracy", "matthews_correlation", "f1", "spearman", "entity_f1", "answer_f1", "perplexity"]
"""How a task is scored; what each name computes stands in `causalkd.verification.measures.task_metrics`."""


@dataclass(frozen=True)
class LocalFile:
    """One split as a file below CAUSALKD_DATA."""

    path: str
    read: Callable[[Path], list[tuple]]
    note: str = ""
    """How the rows differ from the official split, if they do."""


@dataclass(frozen=True)
class TaskSpec:
    """What is known about a task before its rows are read."""

    name: str
    kind: Task
    fields: tuple[str, ...]
    """Columns of a hub row: the texts (or words, or question and context), then the label, if there is one."""
    labels: tuple[str, ...]
    """Names of the classes or tags, in the order of their numbers."""
    metric: Metric
    files: Mapping[str, LocalFile] = field(default_factory=dict)
    """By split."""
    hub: tuple[str, ...] = ()
    """Repository and configuration on the hub; none for a task that is generated."""
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    """The hub's names of splits that it names otherwise."""
    revision: str | None = None
    """Branch of the hub's repository, where it is not the usual one."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have labels."""
        return tuple(self.files) or ("train", "validation")


def _glue(
    name: str,
    folder: str,
    fields: tuple[str, ...],
    labels: tuple[str, ...],
    metric: Metric = "accuracy",
    columns: Sequence[str] | Sequence[int] = (),
    files_of: Mapping[str, LocalFile] | None = None,
    hub_splits: Mapping[str, str] | None = None,
) -> TaskSpec:
    read = partial(files.read_tsv, columns=columns or (*fields, "label"))
    tables = {split: LocalFile(f"glue/{folder}/{stem}.tsv", read) for split, stem in _STEMS.items()}
    kind: Task = "classification" if labels else "regression"
    hub = ("nyu-mll/glue", name)
    return TaskSpec(name, kind, (*fields, "label"), labels, metric, files_of or tables, hub, hub_splits or {})


def _samples(folder: str, train: str = "train", validation: str = "dev") -> dict[str, LocalFile]:
    read = partial(files.read_jsonl, keys=("text_a", "text_b", "label"))
    stems = {"train": train, "validation": validation}
    note = "a sample of the official training split"
    return {split: LocalFile(f"glue/{folder}/{stem}.jsonl", read, note) for split, stem in stems.items()}


def _text(kind: Literal["causal_lm", "masked_lm"]) -> TaskSpec:
    articles = "100 Wikipedia articles, as WikiText-2's training split is not in this folder"
    local = {
        "train": LocalFile("lm/enwiki_gensim.txt", files.read_text, articles),
        "validation": LocalFile("lm/wikitext2.raw.valid.txt", files.read_text),
        "test": LocalFile("lm/wikitext2.raw.test.txt", files.read_text),
    }
    hub = ("Salesforce/wikitext", "wikitext-2-raw-v1")
    return TaskSpec(f"wikitext_{kind}", kind, ("text",), (), "perplexity", local, hub)


def _instructions() -> TaskSpec:
    fields = ("instruction", "input", "output")
    read = partial(files.read_jsonl, keys=fields, defaults={"input": ""})
    local = {
        "train": LocalFile("instruct/alpaca_en_demo.jsonl", read, "999 rows in Alpaca's form"),
        "validation": LocalFile("instruct/dolly_eval.jsonl", read, "500 rows of Dolly, another source than training's"),
        "test": LocalFile("instruct/self-inst_eval.jsonl", read, "the 242 Self-Instruct rows"),
    }
    split = {"train": "train[:51000]", "validation": "train[51000:]"}
    return TaskSpec("instruct", "causal_lm", fields, (), "perplexity", local, ("vicgalle/alpaca-gpt4",), split)


_STEMS = {"train": "train", "validation": "dev"}
_PAIR = ("sentence1", "sentence2")
_ENTAILED = ("entailment", "not_entailment")
_QNLI_FILES = _samples("QNLI", train="train_sample_of_train") | {
    "validation": LocalFile("glue/QNLI/dev.tsv", partial(files.read_tsv, columns=("question", "sentence", "label")))
}
_SQUAD_FILES = {
    "train": LocalFile(
        "squad/train_merged.jsonl", files.read_squad, "8,149 questions whose answers are placed at the first occurrence"
    ),
    "validation": LocalFile("squad/xquad.en.json", files.read_squad, "1,190 of the official development questions"),
}
_WNUT_FILES = {
    "train": LocalFile("wnut17/wnut17train.conll", files.read_conll),
    "validation": LocalFile("wnut17/emerging.dev.conll", files.read_conll),
    "test": LocalFile("wnut17/emerging.test.annotated", files.read_conll),
}
_ENTITIES = ("corporation", "creative-work", "group", "location", "person", "product")
_TAGS = ("O", *(f"{place}-{entity}" for entity in _ENTITIES for place in "BI"))

TASKS: Mapping[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec("planted", "classification", (), ("entailment", "contradiction", "neutral"), "accuracy"),
        TaskSpec("planted_lm", "causal_lm", (), (), "accuracy"),
        _glue("sst2", "SST-2", ("sentence",), ("negative", "positive")),
        _glue("cola", "CoLA", ("sentence",), ("unacceptable", "acceptable"), "matthews_correlation", (3, 1)),
        _glue("mrpc", "MRPC", _PAIR, ("not_equivalent", "equivalent"), "f1", ("#1 String", "#2 String", "Quality")),
        _glue("rte", "RTE", _PAIR, _ENTAILED),
        _glue("wnli", "WNLI", _PAIR, ("not_entailment", "entailment")),
        _glue("stsb", "STS-B", _PAIR, (), "spearman", (*_PAIR, "score")),
        _glue("qnli", "QNLI", ("question", "sentence"), _ENTAILED, files_of=_QNLI_FILES),
        _glue(
            "mnli",
            "MNLI-sample",
            ("premise", "hypothesis"),
            ("entailment", "neutral", "contradiction"),
            files_of=_samples("MNLI-sample"),
            hub_splits={"validation": "validation_matched"},
        ),
        _glue(
            "qqp",
            "QQP-sample",
            ("question1", "question2"),
            ("not_duplicate", "duplicate"),
            "f1",
            files_of=_samples("QQP-sample"),
        ),
        TaskSpec(
            "squad",
            "question_answering",
            ("question", "context", "answers"),
            (),
            "answer_f1",
            _SQUAD_FILES,
            ("rajpurkar/squad",),
        ),
        TaskSpec(
            "wnut17",
            "token_classification",
            ("tokens", "ner_tags"),
            _TAGS,
            "entity_f1",
            _WNUT_FILES,
            ("leondz/wnut_17",),
            revision="refs/convert/parquet",
        ),
        _text("causal_lm"),
        _text("masked_lm"),
        _instructions(),
    )
}
"""Every task by name. GLUE's test splits have no public labels and are not offered."""


def task_spec(name: str) -> TaskSpec:
    """The task of a name.

    Raises ValueError for an unknown one, with the nearest known name.
    """
    if name not in TASKS:
        near = get_close_matches(name.lower(), TASKS, 1, 0.4)
        hint = f"Did you mean '{near[0]}'?" if near else "Choose one of them."
        raise ValueError(f"there is no task '{name}'; there are {', '.join(TASKS)}. {hint}")
    return TASKS[name]
