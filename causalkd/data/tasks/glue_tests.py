"""GLUE's test rows, which have no public labels, and the files in which predictions for them are handed in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.data_files import read_hub
from causalkd.data.tasks.loading import DATA_VARIABLE
from causalkd.data.tasks.readers import read_tsv
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
}
"""The test sets by the name of the task."""


def glue_test(task: str) -> GlueTest:
    """The test set of a task.

    Raises ValueError where the task is none of GLUE's.
    """
    if task not in GLUE_TESTS:
        raise ValueError(
            f"predictions are handed in for the tasks of GLUE ({', '.join(GLUE_TESTS)}), and {task!r} is none of them"
        )
    return GLUE_TESTS[task]


def unlabelled_rows(task: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[Tokenised, str]:
    """A task's test rows as examples whose labels mean nothing, in the order of the file; and where they came from.

    They are read from the official file below CAUSALKD_DATA, or where that is not there from the hub.

    Raises:
        ValueError: The task is none of GLUE's, or its rows are neither here nor on the hub.
    """
    texts, origin = _texts(task, glue_test(task))
    columns = [list(column) for column in zip(*texts, strict=True)]
    nothing = [0.0 if TASKS[task].kind == "regression" else 0] * len(texts)
    return sentence_examples(columns[0], (*columns[1:], None)[0], nothing, tokenizer, max_length), origin


def _texts(task: str, test: GlueTest) -> tuple[list[tuple[str, ...]], str]:
    folder = os.environ.get(DATA_VARIABLE)
    name = f"{test.folder}/{test.stem}.tsv"
    for path in [] if not folder else [Path(folder) / "glue" / name, Path(folder) / name]:
        if path.is_file():
            return read_tsv(path, test.columns), str(path)
    spec = TASKS[task]
    table = read_hub(spec.hub[0], spec.hub[1], spec.revision, test.split)
    return list(zip(*(table.rows[column] for column in spec.fields[:-1]), strict=True)), table.origin
