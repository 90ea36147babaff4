"""The positions where per-token predictions count, and what they are compared with."""

from dataclasses import replace

import torch

from causalkd.data.batch import Batch
from causalkd.data.token_mask import counted_tokens, flat_positions, targets

MASK = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
LABELS = torch.tensor([[7, -100, 8, 9], [5, -100, 7, 6]])
BATCH = Batch({"input_ids": torch.zeros(2, 4, dtype=torch.long), "attention_mask": MASK}, LABELS)


def test_a_causal_label_is_predicted_one_position_earlier() -> None:
    assert targets("causal_lm", LABELS).tolist() == [[-100, 8, 9, -100], [-100, 7, 6, -100]]
    assert targets("masked_lm", LABELS) is LABELS


def test_labels_count_where_they_are_predicted_and_never_at_padding() -> None:
    tags, tokens = (counted_tokens(task, BATCH, "labelled") for task in ("token_classification", "causal_lm"))
    assert tags is not None and tags.tolist() == [[True, False, True, False], [False, False, True, True]]
    assert tokens is not None and tokens.tolist() == [[False, True, True, False], [False, True, True, False]]


def test_without_labels_every_real_token_counts() -> None:
    for batch, tokens in ((BATCH, "all"), (replace(BATCH, labels=None), "labelled")):
        counted = counted_tokens("masked_lm", batch, tokens)
        assert counted is not None and torch.equal(counted, MASK.bool())


def test_heads_that_predict_once_a_row() -> None:
    assert counted_tokens("classification", BATCH) is None
    assert counted_tokens("question_answering", BATCH, "labelled") is None


def test_flat_positions() -> None:
    assert flat_positions(MASK.bool()).tolist() == [0, 1, 2, 5, 6, 7]
    assert flat_positions(torch.zeros(2, 3, dtype=torch.bool)).shape == (0,)
