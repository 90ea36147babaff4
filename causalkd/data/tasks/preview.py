"""A preview of data: rows, columns, lengths, labels, a few examples, and the block to paste into a recipe."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml
from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.data_files import Table, hub_splits, read_files, read_hub
from causalkd.data.tasks.declared_splits import declares_splits
from causalkd.data.tasks.encode import token_ids, unknown_share
from causalkd.data.tasks.find_files import find_files, split_of
from causalkd.data.tasks.guess import SAMPLE, guess_columns, guess_kind
from causalkd.data.tasks.kinds import Kind
from causalkd.data.tasks.labels import declared_names, is_missing, name_of, named
from causalkd.data.tasks.own_data import OwnData, PartOf
from causalkd.data.tasks.row_checks import check_rows, is_score
from causalkd.data.tasks.split_files import files_by_split
from causalkd.data.tasks.unlabelled import OUTPUTS, lacks_labels
from causalkd.task_types import LANGUAGE_MODELS

_EXAMPLES = 5
_MOST_LABELS = 12


def preview(
    path: str,
    kind: Kind | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int = 128,
    config: str | None = None,
    revision: str | None = None,
) -> str:
    """A page of text about the data, which ends with the `data:` block to paste into a recipe.

    The kind and the columns are guessed if they are not given and not named as usual. Lengths, labels and faults are
    those of the first 2,000 rows, in tokens if there is a tokenizer, else in words.

    Raises ValueError if the data do not exist, or no kind suits their columns.
    """
    table, splits = _first_split(path, kind, config, revision)
    kind = kind or guess_kind(table)
    own = OwnData(path, kind, guess_columns(table, kind), config=config, revision=revision)
    columns = own.columns_of(table)
    head = table.select(range(min(SAMPLE, len(table.rows))))
    texts = [" ".join(map(_plain, row)) for row in zip(*_texts(head, columns), strict=True)]
    lines = [
        f"{table.origin}: {len(table.rows)} rows; splits: {', '.join(splits)}",
        f"columns: {', '.join(f'{name} ({_type(table, name)})' for name in table.columns)}",
        f"kind: {kind}" + "".join(f"; {role}: {' + '.join(names)}" for role, names in columns.items() if names),
        *_length_lines(texts, tokenizer, max_length),
        *_empty_lines(own, head, columns),
        *_label_lines(own, head, columns),
        *_unlabelled_lines(own, columns, splits),
        *_fault_lines(own, head, columns),
        "",
        *(f"{number}. {_short(row)}" for number, row in enumerate(map(dict, list(head.rows)[:_EXAMPLES]), 1)),
        "",
        _block(own, columns, splits, len(table.rows)).rstrip(),
    ]
    return "\n".join(lines)


def _first_split(path: str, kind: Kind | None, config: str | None, revision: str | None) -> tuple[Table, list[str]]:
    files = [] if declares_splits(path) else find_files(path)
    if not files:
        splits = hub_splits(path, config, revision)
        return read_hub(path, config, revision, splits[0]), splits
    found = files_by_split(path, files, find_files, {})
    return read_files(found.get("train") or next(iter(found.values())), kind), sorted(found)


def _rows_of(own: OwnData, split: str) -> Table:
    found = own.sources[split]
    return (
        read_hub(own.path, own.config, own.revision, found) if isinstance(found, str) else read_files(found, own.kind)
    )


def _texts(table: Table, columns: dict[str, tuple[str, ...]]) -> list[list[Any]]:
    outputs = set(OUTPUTS) - {"output"}  # a response has a length too
    return [list(table.rows[name]) for role, names in columns.items() if role not in outputs for name in names]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(each.get("content") if isinstance(each, dict) else each) for each in value)
    return "" if value is None else str(value)


def _length_lines(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, longest: int) -> list[str]:
    if not texts:
        return []
    tokens = None if tokenizer is None else token_ids(tokenizer, texts)
    lengths = np.array([len(each) for each in (tokens or (text.split() for text in texts))])
    unknown = 0.0 if tokenizer is None or tokens is None else unknown_share(tokenizer, tokens)
    low, half, most, top = np.percentile(lengths, [5, 50, 95, 100]).astype(int).tolist()
    unit = "words" if tokenizer is None else "tokens"
    over = int((lengths > longest).sum())
    return [
        f"length in {unit}: median {half}, 5 % have at most {low}, 95 % at most {most}, the longest {top}",
        f"rows longer than max_length {longest}: {over} of {len(lengths)} (in {unit}, special tokens not counted)"
        + ("; words are fewer than tokens, so name the model's tokenizer to know" if tokenizer is None else ""),
        *([f"unknown to the tokenizer: {100 * unknown:.1f} % of tokens"] if unknown else []),
    ]


def _empty_lines(own: OwnData, head: Table, columns: dict[str, tuple[str, ...]]) -> list[str]:
    """How many rows have a text that is empty, as the rows of a run are counted."""
    roles = () if own.task in LANGUAGE_MODELS else ("text", "question", "context")
    texts = [list(head.rows[name]) for role in roles for name in columns.get(role, ())]
    count = sum(any(isinstance(text, str) and not text.strip() for text in row) for row in zip(*texts, strict=True))
    return [f"{count} {'row has' if count == 1 else 'rows have'} an empty text"] if count else []


def _unlabelled_lines(own: OwnData, columns: dict[str, tuple[str, ...]], splits: Sequence[str]) -> list[str]:
    """The splits that have inputs alone."""
    found = []
    for split in splits if any(map(columns.get, OUTPUTS)) else ():
        try:
            if split_of(split) in ("validation", "test") and lacks_labels(columns, _rows_of(own, split)):
                found.append(split)
        except ValueError:  # whoever loads the split is told what is wrong with it
            continue
    what = "have" if len(found) > 1 else "has"
    return [f"{', '.join(found)} {what} no labels, so nothing can be measured there"] if found else []


def _label_lines(own: OwnData, table: Table, columns: dict[str, tuple[str, ...]]) -> list[str]:
    name = next((columns[role][0] for role in ("label", "labels", "tags") if columns.get(role)), None)
    if name is None:
        return []
    rows = named(list(table.rows[name]), declared_names(table.rows, name))
    values = [each for value in rows for each in (value if isinstance(value, list) else [value])]
    counts = Counter(name_of(value) for value in values if not is_missing(value))
    missing = sum(map(is_missing, values))
    without = f"; {missing} without a label" if missing else ""
    if own.kind == "regression":
        return [f"{name}: {_scores(values)}{without}"]
    shown = [f"{label} {count}" for label, count in counts.most_common(_MOST_LABELS)]
    more = f" and {len(counts) - _MOST_LABELS} more" if len(counts) > _MOST_LABELS else ""
    return [f"{name}: {', '.join(shown)}{more}{without}"]


def _scores(values: Sequence[Any]) -> str:
    """The range and the spread of the numbers among some values."""
    numbers = np.array([float(value) for value in values if is_score(value)])
    other = sum(not is_score(value) and not is_missing(value) for value in values)
    more = f"; {other} that are no numbers" if other else ""
    if not len(numbers):
        return f"no numbers{more}"
    low, high, mean, spread = (f"{each:.4g}" for each in (numbers.min(), numbers.max(), numbers.mean(), numbers.std()))
    return f"{len(numbers)} numbers, minimum {low}, maximum {high}, mean {mean}, standard deviation {spread}{more}"


def _fault_lines(own: OwnData, head: Table, columns: dict[str, tuple[str, ...]]) -> list[str]:
    """Why a recipe with these data would be refused, if it would be."""

    def read_rows() -> object:
        if own.kind not in ("masked_lm", "causal_lm"):
            return own.rows(head)
        (column,) = columns["text"]
        return check_rows(["text"], [column], [list(head.rows[column])], head.origin, head.numbers)

    found = []
    for check in (read_rows, own.label_names):
        try:
            check()
        except ValueError as error:
            found.append(f"A recipe cannot use these rows as they are: {error}")
    return list(dict.fromkeys(found))


def _type(table: Table, name: str) -> str:
    feature: Any = table.rows.features[name]
    return str(getattr(feature, "dtype", type(feature).__name__))


def _short(row: dict[str, Any]) -> str:
    return "  ".join(
        f"{name}: {text if len(text := str(value)) <= 80 else text[:77] + '...'}" for name, value in row.items()
    )


def _block(own: OwnData, columns: dict[str, tuple[str, ...]], splits: Sequence[str], rows: int) -> str:
    roles = {role: names[0] if len(names) == 1 else list(names) for role, names in columns.items() if names}
    block: dict[str, Any] = {"path": own.path, "kind": own.kind, "columns": roles}
    block |= {name: value for name, value in (("config", own.config), ("revision", own.revision)) if value}
    named = _splits_named(splits)
    if "validation" not in {split_of(name) or name for name in splits}:
        held = PartOf(split="train", share=0.1)
        if own.task in LANGUAGE_MODELS and rows < 2 and "text" in columns:  # one text, which is cut
            return _written(block | {"heldout_share": held.share})
        named["validation"] = {"part_of": held.split, "share": held.share, "seed": held.seed}
    return _written(block | ({"splits": named} if named else {}))


def _splits_named(splits: Sequence[str]) -> dict[str, Any]:
    """The first of several splits that may be the one for training or validation, if a recipe must name one."""
    may_be = {split: [name for name in splits if split_of(name) == split] for split in ("train", "validation")}
    return {split: names[0] for split, names in may_be.items() if len(names) > 1 and split not in names}


def _written(block: dict[str, Any]) -> str:
    return yaml.safe_dump({"data": block}, sort_keys=False, allow_unicode=True, default_flow_style=None)
