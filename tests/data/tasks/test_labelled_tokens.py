import pickle

import pytest

from causalkd.data.batch import IGNORED
from causalkd.data.tasks.labelled_tokens import LabelledTokens

ROWS = [([5, 70_000, 7], [IGNORED, 70_000, 7], 9), ([1, 2], [1, 2], 0), ([3, 4, 5], [IGNORED, 4, IGNORED], 7)]
EXAMPLES = [
    {
        "input_ids": ids,
        "label": label,
        "segments": {"prompt": (0, prompt), "response": (prompt, len(ids))},
        "bytes": size,
    }
    for (ids, label, size), prompt in zip(ROWS, (1, 0, 1), strict=True)
]


def test_rows_are_read_back_by_number_slice_and_in_order() -> None:
    rows = LabelledTokens(iter(ROWS))
    assert list(rows) == EXAMPLES and rows[-1] == EXAMPLES[-1] and len(rows) == 3
    assert list(rows[1:]) == EXAMPLES[1:] == list(rows[:0:-1])[::-1] and list(rows[1:][1:]) == EXAMPLES[2:]
    assert list(pickle.loads(pickle.dumps(rows))) == EXAMPLES, "workers of a loader are given it"
    with pytest.raises(IndexError):
        rows[3]
    assert not LabelledTokens([])
