"""The names of the columns of CSV and TSV files, after a check that every row has a value for each of them.

In both, quotes around a value are no part of it, and a quote in a value that has them is written twice.
"""

import csv
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalkd.errors import few

if TYPE_CHECKING:
    from datasets import Dataset

_SHOWN = 5


def columns_of_files(paths: Sequence[Path], separator: str) -> tuple[list[str], bool]:
    """The names of the columns of some files, and whether there is a row.

    A column without a name, such as that of row numbers, is `Unnamed: 0`, by its number. Costs one reading of the
    files.

    Raises ValueError if the files have different columns, one column is named twice, or a row has more or fewer values
    than there are columns: a reader would move its values to other columns.
    """
    headers, has_rows = {}, False
    for file in paths:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, delimiter=separator, strict=True)
            try:
                names = next(reader, [])
            except csv.Error as error:
                raise ValueError(
                    f"{file} has no first line with the names of its columns ({error}). Write one, with closed quotes"
                ) from None
            headers[file] = [name or f"Unnamed: {place}" for place, name in enumerate(names)]
            if paths[0] == file:
                _check_names(file, headers[file])
            elif sorted(headers[file]) != sorted(headers[paths[0]]):
                first, other = (few(headers[each]) for each in (paths[0], file))
                raise ValueError(
                    f"{file} has the columns {other}, and {paths[0]} has {first}. Files of one split must have the "
                    "same columns: correct or remove one"
                )
            has_rows = _check_rows(file, reader, len(names)) or has_rows
        if separator == "\t":
            _tell_of_quotes(file)
    return headers[paths[0]], has_rows


def _check_names(file: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        fault = f"{file} names columns twice: {twice}" if names else f"{file} is empty"
        raise ValueError(f"{fault}. Give a first line that names each column once")
    if len(names) == 1 and (other := [mark for mark in ";\t|," if mark in names[0]]):
        raise ValueError(
            f"{file} has one column, {names[0][:60]!r}, which looks like several with {other[0]!r} between them. "
            "Values are separated by commas in a .csv file and by tabs in a .tsv file: rename or convert it"
        )


def _check_rows(file: Path, reader: Any, width: int) -> bool:
    """Whether there are rows, all with this many values; blank lines do not count as rows."""
    before, found, faults = csv.field_size_limit(sys.maxsize), False, []
    line = reader.line_num + 1
    try:
        for row in reader:
            if len(row) > 1 or any(value.strip() for value in row):
                found = True
                if len(row) != width:
                    faults.append(f"line {line} has {len(row)} ({' | '.join(row)[:60]!r})")
            line = reader.line_num + 1
    except csv.Error as error:
        lines = f"line {line}" if line == reader.line_num else f"lines {line} to {reader.line_num}"
        raise ValueError(
            f"{file}, {lines}: {error}. A value that begins with a quote must end with one, and a quote inside it is "
            'written twice: """so"" it is". Correct the row, or convert the file to JSON Lines'
        ) from None
    finally:
        csv.field_size_limit(before)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(
            f"{file}: every row needs {width} values, as many as the first line names columns, but "
            f"{'; '.join(faults[:_SHOWN])}{more}. Write a value that holds the separator or an end of line in double "
            "quotes, and correct these lines"
        )
    return found


def _tell_of_quotes(file: Path) -> None:
    """Warns of quotes that nothing in their value needs, if other values of the column have none: they may be text."""
    quoted, plain = dict[str, tuple[int, str]](), set[str]()
    with file.open(encoding="utf-8-sig", newline="") as opened:
        names = next(opened, "").rstrip("\r\n").split("\t")
        for number, line in enumerate(opened, 2):
            values = line.rstrip("\r\n").split("\t")
            for name, value in zip(names, values, strict=True) if len(values) == len(names) else ():
                if len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1]:
                    quoted.setdefault(name, (number, value))
                elif value.strip() and value[0] != '"':
                    plain.add(name)
    for name in quoted.keys() & plain:
        number, value = quoted[name]
        warnings.warn(
            f"{file}, line {number}: the quotes around {value[:60]} are read as those of the file, and are no part of "
            f"the text, but other values of column {name!r} have none. If they are part of it, write them twice and in "
            'quotes, """so""", or convert the file to JSON Lines',
            stacklevel=2,
        )


def refuse_swallowed_lines(rows: "Dataset", paths: Sequence[Path]) -> None:
    """Refuses values with a tab and a line's end: a quotation mark in a text can turn whole lines into one value."""
    compute: Any = import_module("pyarrow.compute")
    for column in rows.column_names:
        values = rows.with_format("arrow")[column]
        found = compute.match_substring_regex(values, r"(?s)\t.*\n|\n.*\t")
        places = compute.indices_nonzero(found).to_pylist()
        if places:
            value = rows[places[0]][column]
            raise ValueError(
                f"{', '.join(map(str, paths[:3]))}: row {places[0] + 1}, column {column!r} holds tabs and ends of "
                f"lines, since a quote begins the value: {value[:60]!r}. Write a quote at the start of a value twice "
                'and in quotes, """so""", or convert the file to JSON Lines'
            )
