"""A task by name to examples: read the rows of a split, check them, tokenise them.

With CAUSALKD_DATA set to a folder of real data, rows are read from its files; otherwise from the Hugging Face hub.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.generated import GENERATORS, generated_examples
from causalkd.data.instructions import Instruction, PromptStyle, instruction_examples
from causalkd.data.task_table import TASKS, Metric, TaskSpec, task_spec
from causalkd.data.text import Tokenised, answer_examples, block_examples, sentence_examples, tag_examples
from causalkd.task_kinds import Task

__all__ = ["TASKS", "Examples", "Metric", "TaskSpec", "load_examples", "task_spec"]

DATA_VARIABLE = "CAUSALKD_DATA"
USUAL_LENGTH = 128
"""Tokens of an example where no greatest length is given and the model takes that many."""


@dataclass(frozen=True)
class Examples:
    """The tokenised rows of one split, and what must be known to use and to report them."""

    examples: list[dict[str, Any]]
    kind: Task
    labels: tuple[str, ...]
    metric: Metric
    origin: str
    """Where the rows came from, and how they differ from the official split, if they do."""
    truncated: int = 0
    """Rows that were cut to the greatest length."""
    lost: int = 0
    """Answers, or tagged words, of which no token is left; they count in no loss."""
    left_out: int = 0
    """Rows without a token to learn; they are not among the examples."""

    def summary(self) -> str:
        """One line for a log or a report."""
        notes = [f"{self.truncated} cut to length"] if self.truncated else []
        notes += [f"{self.lost} answers or tagged words without a token"] if self.lost else []
        notes += [f"{self.left_out} left out: no response, or a prompt as long as a row"] if self.left_out else []
        return ", ".join([f"{len(self.examples)} examples of {self.origin}", *notes])


def load_examples(
    task: str,
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None = None,
    max_length: int | None = None,
    model_limit: int | None = None,
    seed: int = 0,
    prompt: PromptStyle = "alpaca",
) -> Examples:
    """The first `limit` examples (rows; blocks of text for a language model) of a split of a task, or all.

    Longer texts are cut to `max_length` tokens (128, or what the model takes if that is less), which is an error if it
    exceeds `model_limit`, the longest text the model takes (the tokenizer's own limit, if not given). `seed` matters to
    generated tasks, `prompt` to instructions. Raises one ValueError for what is wrong with the request, and one for
    what is wrong with the rows.
    """
    spec = task_spec(task)
    allowed = tokenizer.model_max_length if model_limit is None else model_limit
    max_length = min(USUAL_LENGTH, allowed) if max_length is None else max_length
    faults = []
    if split not in spec.splits:
        faults.append(f"it has no labelled split '{split}'; it has {', '.join(spec.splits)}: choose one")
    if limit is not None and limit < 1:
        faults.append(f"limit {limit} leaves no examples; give at least 1, or none to have them all")
    if max_length > allowed:
        faults.append(f"max_length {max_length} is more than the {allowed} tokens the model takes; give at most that")
    if faults:
        raise ValueError(f"task '{task}': " + "; ".join(faults))
    if task in GENERATORS:
        made, origin = generated_examples(task, split, tokenizer, limit, max_length, seed)
        return Examples(made, spec.kind, spec.labels, spec.metric, origin)
    rows, origin = _read(spec, split)
    if not rows:
        raise ValueError(f"{origin} has no rows, so there is nothing to run on. Give a file with data")
    rows = rows if spec.fields == ("text",) else rows[:limit]
    tokenised = _tokenise(spec, rows, origin, tokenizer, max_length, prompt)
    if not tokenised.examples:
        raise ValueError(
            f"no row of {origin} has a token to learn within max_length {max_length}, so there is nothing to run on. "
            "Give a greater max_length, or a file with longer texts"
        )
    # A question's context may have become several examples, and its row has been counted already.
    examples = tokenised.examples if spec.kind == "question_answering" else tokenised.examples[:limit]
    counts = (tokenised.truncated, tokenised.lost, tokenised.left_out)
    return Examples(examples, spec.kind, spec.labels, spec.metric, origin, *counts)


def _read(spec: TaskSpec, split: str) -> tuple[list[tuple], str]:
    """The raw rows of a split, and where they came from."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return _read_hub(spec, split)
    file = spec.files[split]
    path = Path(folder) / file.path
    if not path.is_file():
        raise ValueError(
            f"task '{spec.name}', split '{split}': there is no file {path}. Point {DATA_VARIABLE} at a folder that has "
            f"{file.path}, or unset it to load {'/'.join(spec.hub)} from the hub"
        )
    try:
        return file.read(path), f"{file.path}{f' ({file.note})' if file.note else ''}"
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}. Convert it") from None


def _read_hub(spec: TaskSpec, split: str) -> tuple[list[tuple], str]:
    import datasets

    repository, configuration = (*spec.hub, None)[:2]
    name = spec.hub_splits.get(split, split)
    assert repository is not None
    try:
        table = datasets.load_dataset(repository, configuration, split=name, revision=spec.revision)
    except ConnectionError as error:
        raise ValueError(
            f"task '{spec.name}': {DATA_VARIABLE} is not set, and the hub cannot be reached ({error}). Set "
            f"{DATA_VARIABLE} to a folder with {spec.files[split].path}, or load {repository} where there is a network"
        ) from None
    rows = list(zip(*(table[column] for column in spec.fields), strict=True))
    if spec.kind == "question_answering":
        rows = [(*texts, list(zip(found["answer_start"], found["text"], strict=True))) for *texts, found in rows]
    if spec.fields == ("text",):
        rows = [("".join(text for (text,) in rows),)] if rows else []
    return rows, f"{repository}, split {name}, from the hub"


def _tokenise(
    spec: TaskSpec,
    rows: list[tuple],
    origin: str,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    prompt: PromptStyle,
) -> Tokenised:
    columns = [list(column) for column in zip(*rows, strict=True)]
    match spec.kind:
        case "classification" | "regression":
            *texts, labels = columns
            numbers = _scores(labels, origin) if spec.kind == "regression" else _classes(labels, spec.labels, origin)
            return sentence_examples(texts[0], (*texts, None)[1], numbers, tokenizer, max_length)
        case "token_classification":
            words, tags = columns
            ends = [len(sentence) for sentence in words]
            numbers = iter(_classes([tag for sentence in tags for tag in sentence], spec.labels, origin))
            return tag_examples(words, [[next(numbers) for _ in range(end)] for end in ends], tokenizer, max_length)
        case "question_answering":
            return answer_examples(columns[0], columns[1], columns[2], tokenizer, max_length)
        case "masked_lm":
            return block_examples(columns[0], tokenizer, max_length)
        case "causal_lm" if spec.fields != ("text",):
            return instruction_examples([Instruction(*row) for row in rows], tokenizer, max_length, prompt)
        case "causal_lm":
            blocks = block_examples(columns[0], tokenizer, max_length)
            # Nothing stands before a first token to predict it from but, in a row padded on the left, padding.
            return Tokenised([{**block, "label": [IGNORED, *block["input_ids"][1:]]} for block in blocks.examples])


def _classes(values: Sequence[str | int], labels: tuple[str, ...], origin: str) -> list[int]:
    """The number of each label, which is given by name or by number."""
    known = {name: number for number, name in enumerate(labels)}
    known |= {key: number for number in range(len(labels)) for key in (number, str(number))}
    unknown = [f"'{value}' (number {place})" for place, value in enumerate(values) if value not in known]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise ValueError(
            f"{origin} has labels outside the task's set: {', '.join(unknown[:5])}{more}. The labels are "
            f"{', '.join(labels)}, or their numbers from 0. Correct or remove these rows"
        )
    return [known[value] for value in values]


def _scores(values: Sequence[str | float], origin: str) -> list[float]:
    """Each label as a number."""
    wrong, scores = [], []
    for place, value in enumerate(values):
        try:
            scores.append(float(value))
        except ValueError:
            scores.append(nan)
        if not isfinite(scores[-1]):
            wrong.append(f"'{value}' (number {place})")
    if wrong:
        raise ValueError(f"{origin} has labels that are not numbers: {', '.join(wrong[:5])}. Correct or remove them")
    return scores
