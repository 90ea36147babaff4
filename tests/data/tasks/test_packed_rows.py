import pickle
import sys

import pytest

from causalkd.data.tasks.packed_rows import PackedRows

ROWS = [
    {"input_ids": [2, 70_000, 3], "label": 1, "segments": {"text": (1, 2)}},
    {"input_ids": [2, 3], "label": (0, 1), "text": "où ? 😀", "offsets": [(0, 0), (3, 7)], "answers": []},
    {"input_ids": [5], "label": 0.1 + 0.2, "student": {"input_ids": [1], "pieces": [[1, 2]]}, "none": None},
]


def _types(value):
    if isinstance(value, dict):
        return {key: _types(each) for key, each in value.items()}
    return [type(value), *map(_types, value)] if isinstance(value, list | tuple) else type(value)


def test_rows_come_back_with_values_of_the_same_types():
    rows = PackedRows(iter(ROWS))
    assert list(rows) == ROWS and _types(list(rows)) == _types(ROWS) and len(rows) == 3
    assert list(rows[0]) == list(ROWS[0]) and rows[-1] == ROWS[2]
    assert list(rows[1:]) == ROWS[1:] and list(rows[::-1][:2]) == [ROWS[2], ROWS[1]]
    assert list(pickle.loads(pickle.dumps(rows[1:]))) == ROWS[1:], "workers of a loader are given it"
    assert list(PackedRows(())) == []
    with pytest.raises(IndexError):
        rows[3]


def test_changing_a_row_changes_no_other_look_at_it():
    rows = PackedRows(ROWS)
    rows[0]["label"] = 7
    assert rows[0] == ROWS[0]


def test_a_token_takes_five_bytes():
    rows = PackedRows({"input_ids": list(range(300, 812))} for _ in range(100))
    assert sys.getsizeof(rows._bytes) < 100 * 512 * 6
