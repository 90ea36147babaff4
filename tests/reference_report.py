"""Reports of shrunk recipes that are kept: columns of numbers by table, and how a report is compared with them.

`python -m tests.reference_report` writes them anew, where a change of numbers is meant.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "references"
NAMES = ("quickstart", "quickstart-lm")
CONTINUOUS = {
    *("interchange.kl", "mismatches.kl", "mismatches.teacher_probability", "mismatches.student_probability"),
    *("off_distribution.clean", "off_distribution.intervened"),
}
"""What is computed in float32 all the way; every other number is a count or follows from counts alone."""
TOLERANCE = 2**12 * float(np.finfo(np.float32).eps)
"""Of those, relative. Processors add up in other orders: over a few steps of training these numbers then differ by up
to 2**7 float32 steps, of which 2**5 times as many are allowed; a change of method changes digits that count."""
TIES = 0.02
"""The most rows in which one prediction may be another one, where two choices are closer than such differences."""
_UNCOUNTED = {"seconds", "versions", "attention", "dtype", "threads", "device"}
"""What depends on the machine."""


def tables(report: Any) -> dict[str, dict[str, list[Any]]]:
    """The tables of a report's JSON as columns; what stands once is a table of one row.

    A column in which every row is the same has one value. Numbers have nine digits.
    """
    found = {}
    for name, value in report.items():
        rows = value if isinstance(value, list) else [value if isinstance(value, dict) else {"value": value}]
        keys = list(rows[0]) if rows else []
        assert all(list(row) == keys for row in rows), name
        columns = {key: [None if key in _UNCOUNTED else _rounded(row[key]) for row in rows] for key in keys}
        found[name] = {key: column[:1] if len(_distinct(column)) == 1 else column for key, column in columns.items()}
        found[name][""] = [len(rows)]
    return found


def check(name: str, report: Any) -> None:
    """Asserts that a report's tables are those of the reference.

    Structure and keys are equal; continuous numbers within `TOLERANCE`. All other values are equal; where predictions
    at ties are others (in `TIES` of the rows at most, one in each), what follows from them is not compared.
    """
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    found = json.loads(json.dumps(tables(report)))
    assert list(found) == list(expected)
    assert {table: list(columns) for table, columns in found.items()} == {
        table: list(columns) for table, columns in expected.items()
    }
    flipped = _flipped(found["interchange"], expected["interchange"])
    for table, columns in expected.items():
        for key, column in columns.items():
            one, other = _column(found[table], key), _column(columns, key)
            where = f"{table}.{key}"
            if where in CONTINUOUS:
                np.testing.assert_allclose(_numbers(one), _numbers(other), rtol=TOLERANCE, err_msg=where)
            elif not flipped or not (key == "effective_pairs" or _holds_numbers(column)):
                assert one == other, where


def _flipped(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> int:
    """In how many rows a prediction is another one."""
    one, other, pairs = (
        _numbers(_column(table, key)) for table, key in ((found, "iia"), (expected, "iia"), (expected, "pairs"))
    )
    different = np.abs(one - other)
    assert (different <= 1 / pairs + 1e-9).all(), "an accuracy differs by more than one prediction"
    flipped = int((different > 1e-9).sum())
    assert flipped <= TIES * len(one), f"{flipped} of {len(one)} accuracies differ"
    return flipped


def _column(table: dict[str, list[Any]], key: str) -> list[Any]:
    (rows,) = table[""]
    values = table[key]
    return values * rows if key and len(values) == 1 else values


def _numbers(column: Sequence[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in column], dtype=np.float64)


def _holds_numbers(column: Sequence[Any]) -> bool:
    return any(isinstance(value, float | dict) for value in column)


def _distinct(column: Sequence[Any]) -> set[str]:
    return {json.dumps(value) for value in column}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _write() -> None:
    from tests.shrunk import finished_run

    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        for name in NAMES:
            report = json.loads(finished_run(name, Path(folder)).folder.report.read_text())
            write(name, report)


def write(name: str, report: Any) -> None:
    """Keeps a report as a reference, a line a column."""
    lines = []
    for table, columns in tables(report).items():
        inside = ",\n".join(f"  {json.dumps(key)}: {json.dumps(column)}" for key, column in columns.items())
        lines.append(f" {json.dumps(table)}: {{\n{inside}\n }}")
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    _write()
