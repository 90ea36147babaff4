"""The raw rows, or the text, of a split, drawn and checked: a task's, from its files or the hub, or your own data."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from causalkd.data.tasks.data_files import format_of
from causalkd.data.tasks.documents import FileText, RowText
from causalkd.data.tasks.encode import RowNames
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.registry import LocalFile, TaskSpec
from causalkd.data.tasks.row_checks import check_answers, check_rows
from causalkd.data.tasks.unlabelled import readable

DATA_VARIABLE = "CAUSALKD_DATA"
ARTICLE = r"^ = [^=\n][^\n]* = ?$"
"""The pattern of the line that starts an article in WikiText's files."""


@dataclass(frozen=True)
class RawRows:
    """Rows with values of the right types."""

    values: list[tuple]
    names: RowNames
    """The names of the rows in messages."""
    may_lack: bool
    """Whether some question of the whole split, drawn or not, has no answer."""
    numbered: bool = True
    """Whether a number may represent a label: in your own data, only if `labels` gives their order."""
    unlabelled: bool = False
    """Whether the rows have no labels, and those in `values` mean nothing."""


def drawn_rows(size: int, limit: int | None, seed: int) -> Sequence[int]:
    """The numbers of `limit` of this many rows, drawn by `seed`, in their order; all of them without a limit."""
    if limit is None or limit >= size:
        return range(size)
    return sorted(np.random.default_rng(seed).permutation(size)[:limit].tolist())


def task_rows(spec: TaskSpec, split: str, limit: int | None, seed: int) -> RawRows:
    """The drawn rows of a split of a task, with values of the right types."""
    every, origin = _read(spec, split)
    if not every:
        raise ValueError(f"{origin} has no rows, so there is nothing to run on. Give a file with data")
    chosen = drawn_rows(len(every), limit, seed)
    rows = [every[number] for number in chosen]
    roles = {
        "token_classification": ("words", "tags"),
        "question_answering": ("question", "context", "spans"),
        "causal_lm": ("instruction", "input", "output"),
    }.get(spec.kind, (*["text"] * (len(spec.fields) - 1), "score" if spec.kind == "regression" else "label"))
    columns = list(zip(*rows, strict=True))
    check_rows(roles, spec.fields, columns, origin, chosen)
    if spec.kind == "question_answering":
        check_answers(columns[1], columns[2], origin, chosen)
    may_lack = spec.kind == "question_answering" and any(not row[2] for row in every)
    return RawRows(rows, RowNames(origin, chosen), may_lack)


def own_rows(own: OwnData, split: str, limit: int | None, seed: int, *, may_lack_labels: bool = False) -> RawRows:
    """The rows of a split of your own data; only the wanted ones are read."""
    table, unlabelled = readable(own, split, own.table(split), may_lack_labels=may_lack_labels)
    drawn = table.select(drawn_rows(len(table.rows), limit, seed))
    rows = own.rows(drawn)
    may_lack = False
    if own.kind == "question_answering":
        (column,) = own.columns_of(table)["answers"]
        may_lack = any(not (answers or {}).get("text") for answers in table.rows[column])
    return RawRows(rows, RowNames(drawn.origin, drawn.numbers), may_lack, bool(own.labels), unlabelled)


def own_text(own: OwnData, split: str) -> tuple[FileText | RowText, str]:
    """The text of a split of your own data, and where it came from."""
    paths = own.files(split)
    if paths and all(format_of(path) == "text" for path in paths):
        return FileText.of(paths), ", ".join(map(str, paths[:3])) + (" …" if len(paths) > 3 else "")
    table = own.table(split)
    (column,) = own.columns_of(table)["text"]
    return RowText(table.rows, column, names=RowNames(table.origin, table.numbers)), table.origin


def local_file(spec: TaskSpec, split: str) -> tuple[Path, LocalFile] | None:
    """The task's file in the folder CAUSALKD_DATA, in the layout of this project or the official one, if it exists."""
    if not (folder := os.environ.get(DATA_VARIABLE)):
        return None
    known = [*spec.official.get(split, ()), *([spec.files[split]] if split in spec.files else [])]
    # The official archives also lie in the folder itself, without the folder that groups several.
    places = [(Path(folder) / path, file) for file in known for path in (file.path, file.path.partition("/")[2])]
    return next(((path, file) for path, file in places if path.is_file()), None)


def _read(spec: TaskSpec, split: str) -> tuple[list[tuple], str]:
    """The raw rows of a split, and where they came from."""
    found = local_file(spec, split)
    if found is None:
        return _hub_rows(spec, split)
    try:
        return found[1].read(found[0]), _named(found[1])
    except UnicodeDecodeError as error:
        raise ValueError(f"{found[0]} is not text in UTF-8: {error}. Convert it") from None


def _named(file: LocalFile) -> str:
    return f"{file.path}{f' ({file.note})' if file.note else ''}"


def task_text(spec: TaskSpec, split: str) -> tuple[FileText | RowText, str]:
    """The text of a split, and where it came from."""
    found = local_file(spec, split)
    if found is not None:
        return FileText.of([found[0]], ARTICLE), _named(found[1])
    table, origin = _hub_table(spec, split)
    return RowText.of_lines(table, "text", ARTICLE), origin


def _hub_rows(spec: TaskSpec, split: str) -> tuple[list[tuple], str]:
    table, origin = _hub_table(spec, split)
    rows = list(zip(*(table[column] for column in spec.fields), strict=True))
    if spec.kind == "question_answering":
        rows = [(*texts, list(zip(found["answer_start"], found["text"], strict=True))) for *texts, found in rows]
    return rows, origin


def _hub_table(spec: TaskSpec, split: str) -> tuple[Any, str]:
    import datasets

    folder = os.environ.get(DATA_VARIABLE)
    if not spec.hub:
        raise ValueError(
            f"task '{spec.name}', split '{split}': there is no file {spec.files[split].path} in {folder or 'a folder'} "
            f"and the task is not on the hub. Point {DATA_VARIABLE} at the folder that has the file"
        )
    repository, configuration = spec.hub[0], (*spec.hub, None)[1]
    name = spec.hub_splits.get(split, split)
    try:
        table = datasets.load_dataset(repository, configuration, split=name, revision=spec.revision)
    except ConnectionError as error:
        if split not in spec.files:
            raise ValueError(f"task '{spec.name}': {repository} cannot be read from the hub ({error})") from None
        file = spec.files[split].path
        raise ValueError(
            f"task '{spec.name}', split '{split}': there is no file {Path(folder) / file}. Point {DATA_VARIABLE} at a "
            f"folder that has {file}, or unset it to load {'/'.join(spec.hub)} from the hub, which cannot be reached "
            f"now ({error})"
            if folder
            else f"task '{spec.name}': {DATA_VARIABLE} is not set, and the hub cannot be reached ({error}). Set "
            f"{DATA_VARIABLE} to a folder with {file}, or load {repository} where there is a network"
        ) from None
    return table, f"{repository}, split {name}, from the hub"
