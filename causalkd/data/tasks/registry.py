"""The table of tasks: where the rows of each come from, what is predicted, how it is scored.

One entry declares a task; `register_task` adds one from outside. Files of one's own need no entry: see `own_data`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from causalkd import registries
from causalkd.data.tasks import readers as files
from causalkd.data.tasks.kinds import Metric
from causalkd.registries import KeyOf
from causalkd.task_types import Task

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class LocalFile:
    """One split as a file below CAUSALKD_DATA."""

    path: str
    read: Callable[[Path], list[tuple]]
    note: str = ""
    """The differences of the rows from the official split, if there are any."""


@dataclass(frozen=True)
class TaskSpec:
    """The specification of a task, known before its rows are read."""

    name: str
    kind: Task
    fields: tuple[str, ...]
    """Columns of a hub row: the texts (or words, or question and context), then the label, if there is one."""
    labels: tuple[str, ...]
    """Names of the classes or tags, in the order of their numbers."""
    metric: Metric
    files: Mapping[str, LocalFile] = field(default_factory=dict)
    """The files by split."""
    hub: tuple[str, ...] = ()
    """Repository and configuration on the hub; empty for a generated task."""
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    """The hub's names of splits, where they are different."""
    revision: str | None = None
    """The branch of the hub's repository, where it is not the usual one."""
    official: Mapping[str, tuple[LocalFile, ...]] = field(default_factory=dict)
    """The published files by split, where `files` has others; they are preferred if they exist."""
    generated: Any = None
    """The declaration of a generated task, a `synthetic.registry.GeneratedTask`, or its name, as `module:name`."""
    further: tuple[Metric, ...] = ()
    """Metrics that are reported with `metric`, besides the usual ones."""

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
    official: Mapping[str, tuple[LocalFile, ...]] | None = None,
    hub_splits: Mapping[str, str] | None = None,
) -> TaskSpec:
    read = partial(files.read_tsv, columns=columns or (*fields, "label"))
    tables = {split: LocalFile(f"glue/{folder}/{stem}.tsv", read) for split, stem in _STEMS.items()}
    kind: Task = "classification" if labels else "regression"
    hub = ("nyu-mll/glue", name)
    return TaskSpec(
        name, kind, (*fields, "label"), labels, metric, files_of or tables, hub, hub_splits or {}, None, official or {}
    )


def _published(folder: str, columns: Sequence[str], **stems: str) -> dict[str, tuple[LocalFile, ...]]:
    """Tables as they are in GLUE's archives."""
    read = partial(files.read_tsv, columns=columns)
    return {split: (LocalFile(f"glue/{folder}/{stem}.tsv", read),) for split, stem in (_STEMS | stems).items()}


def _samples(folder: str, train: str = "train", validation: str = "dev") -> dict[str, LocalFile]:
    read = partial(files.read_jsonl, keys=("text_a", "text_b", "label"))
    stems = {"train": train, "validation": validation}
    note = "a sample of the official training split"
    return {split: LocalFile(f"glue/{folder}/{stem}.jsonl", read, note) for split, stem in stems.items()}


def _wikitext(name: str, kind: Literal["causal_lm", "masked_lm"], size: int) -> TaskSpec:
    """Official raw text; for WikiText-2 also what this project has instead."""
    folder = f"wikitext-{size}-raw"
    published = {
        split: LocalFile(f"lm/{folder}/wiki.{stem}.raw", files.read_text)
        for split, stem in (("train", "train"), ("validation", "valid"), ("test", "test"))
    }
    articles = "100 Wikipedia articles, as WikiText-2's training split is not in this folder"
    local = {
        "train": LocalFile("lm/enwiki_gensim.txt", files.read_text, articles),
        "validation": LocalFile("lm/wikitext2.raw.valid.txt", files.read_text),
        "test": LocalFile("lm/wikitext2.raw.test.txt", files.read_text),
    }
    hub = ("Salesforce/wikitext", f"wikitext-{size}-raw-v1")
    official = {split: (file,) for split, file in published.items()} if size == 2 else {}
    return TaskSpec(name, kind, ("text",), (), "perplexity", local if size == 2 else published, hub, {}, None, official)


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


def _squad(version: str) -> dict[str, tuple[LocalFile, ...]]:
    stems = {"train": "train", "validation": "dev"}
    return {split: (LocalFile(f"squad/{stem}-{version}.json", files.read_squad),) for split, stem in stems.items()}


_STEMS = {"train": "train", "validation": "dev"}
_PAIR = ("sentence1", "sentence2")
_ENTAILED = ("entailment", "not_entailment")
_MNLI = ("entailment", "neutral", "contradiction")
_PLANTED, _SYNTHETIC = ("entailment", "contradiction", "neutral"), "causalkd.data.synthetic.registry"
_MNLI_COLUMNS = (*_PAIR, "gold_label")
_QNLI_COLUMNS = ("question", "sentence", "label")
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

TASKS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec("planted", "classification", (), _PLANTED, "accuracy", generated=f"{_SYNTHETIC}:PLANTED"),
        TaskSpec("planted_lm", "causal_lm", (), (), "accuracy", generated=f"{_SYNTHETIC}:PLANTED_LM"),
        _glue("sst2", "SST-2", ("sentence",), ("negative", "positive")),
        _glue("cola", "CoLA", ("sentence",), ("unacceptable", "acceptable"), "matthews_correlation", (3, 1)),
        _glue("mrpc", "MRPC", _PAIR, ("not_equivalent", "equivalent"), "f1", ("#1 String", "#2 String", "Quality")),
        _glue("rte", "RTE", _PAIR, _ENTAILED),
        _glue("wnli", "WNLI", _PAIR, ("not_entailment", "entailment")),
        _glue("stsb", "STS-B", _PAIR, (), "spearman", (*_PAIR, "score")),
        _glue(
            "qnli",
            "QNLI",
            ("question", "sentence"),
            _ENTAILED,
            files_of=_QNLI_FILES,
            official=_published("QNLI", _QNLI_COLUMNS),
        ),
        _glue(
            "mnli",
            "MNLI-sample",
            ("premise", "hypothesis"),
            _MNLI,
            files_of=_samples("MNLI-sample"),
            official=_published("MNLI", _MNLI_COLUMNS, validation="dev_matched"),
            hub_splits={"validation": "validation_matched"},
        ),
        replace(
            _glue(
                "mnli",
                "MNLI",
                ("premise", "hypothesis"),
                _MNLI,
                files_of={
                    split: file
                    for split, (file,) in _published("MNLI", _MNLI_COLUMNS, validation="dev_mismatched").items()
                },
                hub_splits={"validation": "validation_mismatched"},
            ),
            name="mnli_mismatched",
        ),
        _glue(
            "qqp",
            "QQP-sample",
            ("question1", "question2"),
            ("not_duplicate", "duplicate"),
            "f1",
            files_of=_samples("QQP-sample"),
            official=_published("QQP", ("question1", "question2", "is_duplicate")),
        ),
        TaskSpec(
            "squad",
            "question_answering",
            ("question", "context", "answers"),
            (),
            "answer_f1",
            _SQUAD_FILES,
            ("rajpurkar/squad",),
            official=_squad("v1.1"),
        ),
        TaskSpec(
            "squad_v2",
            "question_answering",
            ("question", "context", "answers"),
            (),
            "answer_f1",
            {split: file for split, (file,) in _squad("v2.0").items()},
            ("rajpurkar/squad_v2",),
        ),
        TaskSpec(
            "conll2003",
            "token_classification",
            ("tokens", "ner_tags"),
            ("O", *(f"{place}-{entity}" for entity in ("PER", "ORG", "LOC", "MISC") for place in "BI")),
            "entity_f1",
            {
                split: LocalFile(f"conll2003/eng.{stem}", files.read_conll)
                for split, stem in (("train", "train"), ("validation", "testa"), ("test", "testb"))
            },
            ("eriktks/conll2003",),
            revision="refs/convert/parquet",
            official={
                split: (LocalFile(f"conll2003/{stem}.txt", files.read_conll),)
                for split, stem in (("train", "train"), ("validation", "valid"), ("test", "test"))
            },
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
        _wikitext("wikitext_causal_lm", "causal_lm", 2),
        _wikitext("wikitext_masked_lm", "masked_lm", 2),
        _wikitext("wikitext103_causal_lm", "causal_lm", 103),
        _wikitext("wikitext103_masked_lm", "masked_lm", 103),
        _instructions(),
    )
}
"""Every task by name. GLUE's test splits have no public labels and are not offered."""
TaskName = Annotated[str, KeyOf(TASKS, checked=False)]
"""The name of a task; `task_spec` refuses others, with the nearest one."""


def register_task(spec: TaskSpec) -> None:
    """Adds a task that recipes and `load_examples` can name; ValueError if the name is taken or it has no rows."""
    if not (spec.files or spec.hub or spec.generated):
        raise ValueError(f"task {spec.name!r} has no rows: give its `files`, its data set on the `hub`, or `generated`")
    registries.add(TASKS, "tasks", spec.name, spec)


def unregister_task(name: str) -> None:
    """Takes a task out of the table; ValueError if there is none of this name."""
    registries.remove(TASKS, "tasks", name)


def task_spec(name: str) -> TaskSpec:
    """The specification of a task, by name.

    Raises ValueError for an unknown one, with the nearest known name.
    """
    if name not in TASKS:
        near = nearest_task(name)
        hint = f"Did you mean '{near}'?" if near else "Choose one of them, or give `path` and `kind` of your own data."
        raise ValueError(f"there is no task '{name}'; there are {', '.join(TASKS)}. {hint}")
    return TASKS[name]


def nearest_task(name: str) -> str | None:
    """The task that a wrong name most likely means; None if none is near enough."""
    plain = {"".join(filter(str.isalnum, known)): known for known in TASKS}
    begun = [known for known in TASKS if known.startswith(name.lower())]
    if name and begun:
        return begun[0]
    near = get_close_matches("".join(filter(str.isalnum, name.lower())), plain, 1, 0.7)
    return plain[near[0]] if near else None
