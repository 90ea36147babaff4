"""Rows of anybody's data set: read as what they are, or refused with what to do."""

import numpy as np
import pytest
import torch

from causalkd.data.batch import pad, pad_labels
from causalkd.data.example_checks import check_examples, per_token

ROWS = [{"input_ids": [5, 6, 7], "label": 1}, {"input_ids": [8, 9], "label": 0}]


def _with(**columns: list) -> list[dict]:
    return [{**row, **{name: values[n] for name, values in columns.items()}} for n, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a batch of no examples was asked for"),
        ([{"input_ids": []}], r"examples without any token, by index in the batch: \[0\]"),
        (
            _with(attention_mask=[[1, 1, 0], [1, 1]]),
            r"padding of their own \(zeros in attention_mask\), by index in the batch: \[0\].*tokenise without",
        ),
        ([{"input_ids": [5], "labels": 1}], "have `labels`, but labels are read from `label`: rename"),
        ([{"input_ids": [5], "label_ids": 1}], "have `label_ids`, but labels are read from `label`: rename"),
        (_with(position_ids=[[0, 1, 2], [0, 1]]), "have `position_ids`, but a model's positions are counted from"),
        (_with(inputs_embeds=[None, None]), "have `inputs_embeds`, but rows are read as tokens"),
        ([ROWS[0], {"input_ids": [5]}], r"examples without `label`, which others have, by index in the batch: \[1\]"),
        ([{"input_ids": [5]}, _with(token_type_ids=[[0] * 3, [0] * 2])[0]], r"examples without `label`.*\[0\]"),
        ([{**ROWS[0], "token_type_ids": [0, 0, 0]}, ROWS[1]], r"without `token_type_ids`.*: \[1\]"),
    ],
)
def test_rows_that_would_be_read_as_something_else(rows: list[dict], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_examples(rows)
    with pytest.raises(ValueError, match=message):
        pad(rows, 0)


def test_what_a_tokenizer_adds_without_padding_changes_nothing() -> None:
    rows = _with(attention_mask=[[1, 1, 1], [1, 1]], special_tokens_mask=[[1, 0, 1], [1, 1]], labels=[4, 4])
    assert all(torch.equal(tensor, pad(ROWS, 0)[name]) for name, tensor in pad(rows, 0).items())
    assert pad_labels(rows).tolist() == [1, 0]


def test_labels_are_one_for_each_token_or_several_a_row() -> None:
    tokens = [row["input_ids"] for row in ROWS]
    for make in (list, np.array, torch.tensor):
        rows = _with(label=[make(each) for each in tokens])
        assert per_token(rows) and pad_labels(rows).tolist() == [[5, 6, 7], [8, 9, -100]]
    assert not per_token(ROWS) and not per_token(_with(label=[(0, 1), (1, 0)]))
    # A data set of `datasets` has no tuples: as many labels in each row are several labels of a row.
    assert pad_labels(_with(label=[[0, 1, 0, 1], [1, 0, 0, 0]])).tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]


def test_labels_that_are_not_one_for_each_token() -> None:
    for labels in ([[5, 6], [8]], [[5, 6, 7], [8]]):
        with pytest.raises(ValueError, match=r"number of labels than of tokens, by index in the batch: \[.*1\]"):
            pad_labels(_with(label=labels))
