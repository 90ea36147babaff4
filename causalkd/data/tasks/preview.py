"""A preview of data: rows, columns, lengths, labels, a few examples, and the block to paste into a recipe."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml
from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.data_files import Table, find_files, hub_splits, read_files, read_hub, split_of
from causalkd.data.tasks.encode import token_ids
from causalkd.data.tasks.kinds import Kind
from causalkd.data.tasks.own_data import ROW_KINDS, TEXT_PAIRS, OwnData, PartOf

_SAMPLE = 2000
"""The number of rows from which lengths and labels are taken."""
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

    The kind is guessed from the columns where it is not given. Lengths and labels are those of the first 2,000 rows, in
    tokens where there is a tokenizer, else in words.

    Raises ValueError where the data do not exist, or no kind suits their columns.
    """
    table, splits = _first_split(path, config, revision)
    kind = kind or guess_kind(table)
    own = OwnData(path, kind, config=config, revision=revision)
    columns = own.columns_of(table)
    head = table.select(range(min(_SAMPLE, len(table.rows))))
    texts = [" ".join(map(_plain, row)) for row in zip(*_texts(head, columns), strict=True)]
    lines = [
        f"{table.origin}: {len(table.rows)} rows; splits: {', '.join(splits)}",
        f"columns: {', '.join(f'{name} ({_type(table, name)})' for name in table.columns)}",
        f"kind: {kind}" + "".join(f"; {role}: {' + '.join(names)}" for role, names in columns.items() if names),
        *_length_lines(texts, tokenizer, max_length),
        *_label_lines(head, columns),
        "",
        *(f"{number}. {_short(row)}" for number, row in enumerate(map(dict, list(head.rows)[:_EXAMPLES]), 1)),
        "",
        _block(own, columns, splits).rstrip(),
    ]
    return "\n".join(lines)


def guess_kind(table: Table) -> Kind:
    """The kind of rows that the names and types of the columns suggest.

    Raises ValueError where they suggest no kind.
    """
    import datasets

    names = set(table.columns)
    for kind in ("chat", "question_answering", "token_classification", "instructions"):
        needed = [usual for role, usual in ROW_KINDS[kind].roles.items() if role not in ROW_KINDS[kind].optional]
        if all(names & set(usual) for usual in needed):
            return kind
    pair = any(set(pair) <= names for pair in TEXT_PAIRS)
    if pair or names & set(ROW_KINDS["classification"].roles["text"]):
        label = next((name for name in ROW_KINDS["classification"].roles["label"] if name in names), None)
        if names & {"score", "similarity"} or (label is not None and _is_score(table, label)):
            return "regression"
        if label is not None:
            return "multi_label" if isinstance(table.rows.features[label], datasets.List) else "classification"
        if not pair:
            return "causal_lm"
    raise ValueError(
        f"{table.origin} has the columns {', '.join(table.columns)}, which are not named as those of any kind usually "
        f"are. Give --kind: {', '.join(ROW_KINDS)}"
    )


def _first_split(path: str, config: str | None, revision: str | None) -> tuple[Table, list[str]]:
    files = find_files(path)
    if not files:
        splits = hub_splits(path, config, revision)
        return read_hub(path, config, revision, splits[0]), splits
    named = [(split_of(file.stem) if len(files) > 1 else None) or "train" for file in files]
    first = "train" if "train" in named else named[0]
    return read_files([file for file, name in zip(files, named, strict=True) if name == first]), sorted({*named})


def _texts(table: Table, columns: dict[str, tuple[str, ...]]) -> list[list[Any]]:
    outputs = ("label", "labels", "tags", "answers")
    return [list(table.rows[name]) for role, names in columns.items() if role not in outputs for name in names]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(each.get("content") if isinstance(each, dict) else each) for each in value)
    return "" if value is None else str(value)


def _length_lines(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, longest: int) -> list[str]:
    if not texts:
        return []
    lengths = np.array(
        [len(text.split()) for text in texts]
        if tokenizer is None
        else [len(ids) for ids in token_ids(tokenizer, texts)]
    )
    low, half, most, top = np.percentile(lengths, [5, 50, 95, 100]).astype(int).tolist()
    unit = "words" if tokenizer is None else "tokens"
    over = int((lengths > longest).sum())
    return [
        f"length in {unit}: median {half}, 5 % have at most {low}, 95 % at most {most}, the longest {top}",
        f"longer than max_length {longest}: {over} of {len(lengths)} rows, special tokens not counted"
        + ("; words are fewer than tokens, so name the model's tokenizer to know" if tokenizer is None else ""),
    ]


def _label_lines(table: Table, columns: dict[str, tuple[str, ...]]) -> list[str]:
    name = next((columns[role][0] for role in ("label", "labels", "tags") if columns.get(role)), None)
    if name is None:
        return []
    values = list(table.rows[name])
    counts = Counter(each for value in values for each in map(str, value if isinstance(value, list) else [value]))
    shown = ", ".join(f"{label} {count}" for label, count in counts.most_common(_MOST_LABELS))
    more = f" and {len(counts) - _MOST_LABELS} more" if len(counts) > _MOST_LABELS else ""
    return [f"{name}: {shown}{more}"]


def _is_score(table: Table, column: str) -> bool:
    values = [value for value in table.rows.select(range(min(_SAMPLE, len(table.rows))))[column] if value is not None]
    try:
        return any(float(value) != int(float(value)) for value in values)
    except (TypeError, ValueError):
        return False


def _type(table: Table, name: str) -> str:
    feature: Any = table.rows.features[name]
    return str(getattr(feature, "dtype", type(feature).__name__))


def _short(row: dict[str, Any]) -> str:
    return "  ".join(
        f"{name}: {text if len(text := str(value)) <= 80 else text[:77] + '...'}" for name, value in row.items()
    )


def _block(own: OwnData, columns: dict[str, tuple[str, ...]], splits: Sequence[str]) -> str:
    named = {role: names[0] if len(names) == 1 else list(names) for role, names in columns.items() if names}
    block: dict[str, Any] = {"path": own.path, "kind": own.kind, "columns": named}
    block |= {name: value for name, value in (("config", own.config), ("revision", own.revision)) if value}
    if not {"validation", "dev", "valid"} & set(splits):
        held = PartOf(split="train", share=0.1)
        block["splits"] = {"validation": {"part_of": held.split, "share": held.share, "seed": held.seed}}
    return yaml.safe_dump({"data": block}, sort_keys=False, allow_unicode=True, default_flow_style=None)
