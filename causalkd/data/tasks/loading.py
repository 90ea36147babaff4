"""Load the examples of a task by name, or of your own data: read the rows of a split, check them, tokenise them.

With CAUSALKD_DATA set to a folder of real data, a task's rows are read from its files, and where the folder has none
of the task's, or the variable is not set, from the Hugging Face hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.conversations import conversation_examples
from causalkd.data.tasks.documents import block_rows
from causalkd.data.tasks.generated import generated_examples
from causalkd.data.tasks.instructions import Instruction, PromptStyle, instruction_examples
from causalkd.data.tasks.labels import flags_of_sets, numbers_of, numbers_of_each
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.packed_rows import PackedRows
from causalkd.data.tasks.raw_rows import ARTICLE, RawRows, own_rows, own_text, task_rows, task_text
from causalkd.data.tasks.registry import TASKS, Metric, TaskSpec, task_spec
from causalkd.data.tasks.row_kinds import ROW_KINDS
from causalkd.data.tasks.tokenise import Tokenised, answer_examples, sentence_examples, tag_examples
from causalkd.task_types import Task

__all__ = ["TASKS", "Examples", "Metric", "TaskSpec", "load_examples", "task_spec"]

USUAL_LENGTH = 128
"""The largest number of tokens of an example if none is given and the model takes that many."""


@dataclass(frozen=True)
class Examples:
    """The tokenised rows of one split, with what is needed to use and to report them."""

    examples: Sequence[dict[str, Any]]
    kind: Task
    labels: tuple[str, ...]
    metric: Metric
    origin: str
    """The origin of the rows, and how they differ from the official split, if they do."""
    truncated: int | None = 0
    """The number of rows that were cut to the maximum length; None if it is known only for more rows than these."""
    lost: int | None = 0
    """The number of answers, or tagged words, of which no token is left; they count in no loss."""
    left_out: int | None = 0
    """The number of rows without a labelled token, which are not among the examples."""
    empty: int | None = 0
    """The number of rows of which a text is empty; they are among the examples."""
    further: tuple[Metric, ...] = ()
    """Metrics that are reported with the task's own, besides the usual ones."""
    positive: int = 1
    """The index of the positive class for `f1`: the task's second label, at whatever index a model's order puts it."""
    student_pad_id: int | None = None
    """The padding of a student's own tokens, if its tokenizer is not the teacher's; see `read_twice`."""
    student_truncated: int | None = 0
    """The number of rows that were cut to the maximum length in a student's own tokens."""
    unlabelled: bool = False
    """Whether the rows have no labels: those in `examples` mean nothing."""

    def in_label_order(self, names: Sequence[str]) -> "Examples":
        """The examples with the labels in the order of these names, if they are the same ones in any case."""
        if self.kind not in ("classification", "multi_label", "token_classification"):
            return self
        wanted, given = ([label.casefold() for label in labels] for labels in (names, self.labels))
        if wanted == given or sorted(wanted) != sorted(given) or len(set(given)) < len(given):
            return self
        place, origin = [wanted.index(label) for label in given], [given.index(label) for label in wanted]

        def moved(label: int | list[int] | tuple[int, ...]) -> int | list[int] | tuple[int, ...]:
            if isinstance(label, list):  # a number for each token, or less than 0 where none counts
                return [place[number] if number >= 0 else number for number in label]
            return place[label] if isinstance(label, int) else tuple(label[number] for number in origin)

        keys = ("label", "tags")
        rows = PackedRows(row | {key: moved(row[key]) for key in keys if key in row} for row in self.examples)
        labels = tuple(self.labels[number] for number in origin)
        return replace(self, examples=rows, labels=labels, positive=place[self.positive])

    def summary(self) -> str:
        """One line for a log or a report."""
        what = f"{len(self.examples)} examples"
        if self.kind == "question_answering":  # whose examples are numbered in their order
            what = f"{len(self.examples)} windows of {self.examples[-1]['question'] + 1} questions"
        return ", ".join([f"{what} of {self.origin}", *self.notes()])

    def notes(self) -> list[str]:
        """The numbers of rows that were cut or left out, in words."""
        notes = [f"{self.truncated} cut to length"] if self.truncated else []
        notes += [f"{self.student_truncated} cut to length for the students"] if self.student_truncated else []
        notes += [f"{self.empty} {'has' if self.empty == 1 else 'have'} an empty text"] if self.empty else []
        notes += [f"{self.lost} answers or tagged words without a token"] if self.lost else []
        notes += [f"{self.left_out} left out: no response, or a prompt as long as a row"] if self.left_out else []
        return notes


def load_examples(
    task: str | OwnData,
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None = None,
    max_length: int | None = None,
    model_limit: int | None = None,
    seed: int = 0,
    prompt: PromptStyle = "alpaca",
    *,
    with_extents: bool = False,
    may_lack_labels: bool = False,
) -> Examples:
    """The examples of a split of a task or of your own data: all, or those of `limit` rows (blocks of text).

    These are drawn by `seed`, before anything is tokenised, and stay in their order; how blocks are drawn, `block_rows`
    says. Longer texts are cut to `max_length` tokens (128, or what the model takes if that is less), which is an error
    if it exceeds `model_limit`, the longest text the model takes (the tokenizer's own limit, if not given). `prompt` is
    for instructions, `with_extents` for `read_twice`. Own rows without labels are read only if they `may_lack_labels`.
    Raises one ValueError for all faults of the request, and one for all faults of the rows.
    """
    own = None if isinstance(task, str) else task
    spec = task_spec(task) if isinstance(task, str) else _spec_of(task)
    max_length, unlabelled = _checked(spec, split, tokenizer, limit, max_length, model_limit), False
    if spec.generated is not None:
        made, origin = generated_examples(spec.name, split, tokenizer, limit, max_length, seed)
        return Examples(made, spec.kind, spec.labels, spec.metric, origin, further=spec.further)
    if spec.fields == ("text",):
        text, origin = task_text(spec, split) if own is None else own_text(own, split)
        options = {"causal": spec.kind == "causal_lm", "begins": ARTICLE if own is None else None}
        tokenised = Tokenised(block_rows(text, tokenizer, max_length, limit=limit, seed=seed, **options))
    else:
        options = {"may_lack_labels": may_lack_labels}
        rows = task_rows(spec, split, limit, seed) if own is None else own_rows(own, split, limit, seed, **options)
        unlabelled = rows.unlabelled
        tokenised, origin = _tokenise(spec, rows, tokenizer, max_length, prompt, with_extents), rows.names.origin
    if not tokenised.examples:
        raise ValueError(
            f"no row of {origin} has a token to learn within max_length {max_length}, so there is nothing to run on. "
            "Give a greater max_length, or a file with longer texts"
        )
    counts = (tokenised.truncated, tokenised.lost, tokenised.left_out, tokenised.empty)
    made = Examples(tokenised.examples, spec.kind, spec.labels, spec.metric, origin, *counts, spec.further)
    return replace(made, unlabelled=unlabelled)


def _checked(
    spec: TaskSpec,
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
    max_length: int | None,
    model_limit: int | None,
) -> int:
    """The length of a row, after checking the request."""
    allowed = tokenizer.model_max_length if model_limit is None else model_limit
    max_length = min(USUAL_LENGTH, allowed) if max_length is None else max_length
    faults = []
    if spec.name and split not in spec.splits:
        faults.append(f"it has no labelled split '{split}'; it has {', '.join(spec.splits)}: choose one")
    if limit is not None and limit < 1:
        faults.append(f"limit {limit} leaves no examples; give at least 1, or no limit for all of them")
    if max_length > allowed:
        faults.append(f"max_length {max_length} is more than the {allowed} tokens the model takes; give at most that")
    if faults:
        raise ValueError(f"task '{spec.name or spec.kind}': " + "; ".join(faults))
    return max_length


def _spec_of(own: OwnData) -> TaskSpec:
    """The task specification of your own data, once its labels are read; such a task has no name."""
    fields = ("text",) if own.kind in ("masked_lm", "causal_lm") else tuple(ROW_KINDS[own.kind].roles)
    metric, *further = own.metrics or (ROW_KINDS[own.kind].metric,)
    return TaskSpec("", own.task, fields, own.label_names(), metric, further=tuple(further))


def _tokenise(
    spec: TaskSpec,
    rows: RawRows,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    prompt: PromptStyle,
    with_extents: bool,
) -> Tokenised:
    columns, names, origin = [list(column) for column in zip(*rows.values, strict=True)], rows.names, rows.names.origin
    options = {"tokenizer": tokenizer, "max_length": max_length, "with_extents": with_extents, "names": names}
    named, numbered = (spec.labels, origin), {"numbered": rows.numbered}
    match spec.kind:
        case "classification" | "regression":
            *texts, labels = columns
            numbers = list(map(float, labels)) if spec.kind == "regression" else numbers_of(labels, *named, **numbered)
            return sentence_examples(texts[0], (*texts, None)[1], numbers, **options)
        case "multi_label":
            *texts, sets = columns
            return sentence_examples(texts[0], (*texts, None)[1], flags_of_sets(sets, *named, **numbered), **options)
        case "token_classification":
            return tag_examples(columns[0], numbers_of_each(columns[1], *named, **numbered), **options)
        case "question_answering":
            return answer_examples(
                columns[0], columns[1], columns[2], tokenizer, max_length, names=names, may_lack=rows.may_lack
            )
        case "causal_lm" if spec.fields == ("messages",):
            return conversation_examples(columns[0], tokenizer, max_length, names)
        case "causal_lm":
            return instruction_examples([Instruction(*row) for row in rows.values], tokenizer, max_length, prompt)
        case "masked_lm":
            raise AssertionError("text is made into blocks, not rows")
