"""GLUE's test rows, which have no public labels, and the files in which predictions for them are handed in."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.data_files import read_hub
from causalkd.data.tasks.raw_rows import DATA_VARIABLE
from causalkd.data.tasks.readers import lines, read_tsv
from causalkd.data.tasks.registry import TASKS
from causalkd.data.tasks.tokenise import Tokenised, sentence_examples


@dataclass(frozen=True)
class GlueTest:
    """The test rows of one task."""

    folder: str
    columns: tuple[str, ...]
    """The texts, as the published file names them."""
    submission: str
    """The name of the file to hand in."""
    stem: str = "test"
    split: str = "test"
    """The hub's name of the split."""
    by_name: bool = False
    """Whether predictions are handed in as names of classes, and not as numbers."""
    task: str | None = None
    """The task whose models answer it; None for the task of the same name."""


_PAIR = ("sentence1", "sentence2")
GLUE_TESTS: Mapping[str, GlueTest] = {
    "cola": GlueTest("CoLA", ("sentence",), "CoLA.tsv"),
    "sst2": GlueTest("SST-2", ("sentence",), "SST-2.tsv"),
    "mrpc": GlueTest("MRPC", ("#1 String", "#2 String"), "MRPC.tsv"),
    "stsb": GlueTest("STS-B", _PAIR, "STS-B.tsv"),
    "qqp": GlueTest("QQP", ("question1", "question2"), "QQP.tsv"),
    "mnli": GlueTest("MNLI", _PAIR, "MNLI-m.tsv", "test_matched", "test_matched", by_name=True),
    "mnli_mismatched": GlueTest("MNLI", _PAIR, "MNLI-mm.tsv", "test_mismatched", "test_mismatched", by_name=True),
    "qnli": GlueTest("QNLI", ("question", "sentence"), "QNLI.tsv", by_name=True),
    "rte": GlueTest("RTE", _PAIR, "RTE.tsv", by_name=True),
    "wnli": GlueTest("WNLI", _PAIR, "WNLI.tsv"),
    "ax": GlueTest("diagnostic", _PAIR, "AX.tsv", "diagnostic", by_name=True, task="mnli"),
}
"""The test sets by the name of the task; `ax`, the diagnostic set, has no training rows: models of `mnli` answer it."""
_NUMBERS = ("index", "id", "idx")
"""The names of the column that numbers the rows: in the published files, in QQP's, and on the hub."""


def glue_test(task: str) -> GlueTest:
    """The test set of a task.

    Raises ValueError if the task is not one of GLUE's.
    """
    if task not in GLUE_TESTS:
        raise ValueError(
            f"predictions are handed in for the tasks of GLUE ({', '.join(GLUE_TESTS)}), and {task!r} is none of them"
        )
    return GLUE_TESTS[task]


@dataclass(frozen=True)
class UnlabelledRows:
    """Test rows as examples whose labels mean nothing, in the order of the file."""

    tokenised: Tokenised
    numbers: tuple[str, ...]
    """The file's own number of each row; counted from 0 if it has no such column."""
    origin: str


def unlabelled_rows(task: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> UnlabelledRows:
    """A task's test rows, from the official file below CAUSALKD_DATA, or where that is not there from the hub.

    Raises:
        ValueError: The task is none of GLUE's, or its rows are neither here nor on the hub.
    """
    test = glue_test(task)
    columns, origin = _columns(task, test)
    numbers, (first, *second) = columns[0], columns[1:]
    nothing = [0.0 if TASKS[test.task or task].kind == "regression" else 0] * len(first)
    tokenised = sentence_examples(first, (*second, None)[0], nothing, tokenizer, max_length)
    return UnlabelledRows(tokenised, tuple(map(str, numbers)), origin)


def _columns(task: str, test: GlueTest) -> tuple[list[list[Any]], str]:
    """The numbers of the rows and their texts, and where they came from."""
    folder = os.environ.get(DATA_VARIABLE)
    name = f"{test.folder}/{test.stem}.tsv"
    for path in [] if not folder else [Path(folder) / "glue" / name, Path(folder) / name]:
        if path.is_file():
            named = next(lines(path), "").split("\t")
            rows = read_tsv(path, [*_numbering(named), *test.columns])
            if not rows:
                raise ValueError(f"{path} has no rows, so there is nothing to predict. Give the file of the task")
            return _numbered([list(column) for column in zip(*rows, strict=True)], test), str(path)
    spec = TASKS[test.task or task]
    configuration = spec.hub[1] if test.task is None else task
    try:
        table = read_hub(spec.hub[0], configuration, spec.revision, test.split)
    except ValueError as error:
        where = folder or f"a folder, and {DATA_VARIABLE} to it"
        raise ValueError(
            f"GLUE's test rows of {task!r} are not here: put the file {name} of its archive into {where} ({error})"
        ) from None
    wanted = [*_numbering(table.columns), *spec.fields[:-1]]
    return _numbered([list(table.rows[column]) for column in wanted], test), table.origin


def _numbering(columns: Sequence[str]) -> list[str]:
    return [name for name in _NUMBERS if name in columns][:1]


def _numbered(columns: list[list[Any]], test: GlueTest) -> list[list[Any]]:
    """The columns with one of numbers before the texts."""
    return columns if len(columns) > len(test.columns) else [list(range(len(columns[0]))), *columns]
