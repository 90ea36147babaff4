import numpy as np
import torch

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.verification.interventions.pair_rows import pair_rows, row_keys, shared_rows


def _inputs(*rows):
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[9] * (width - len(row))] for row in rows])
    return {"input_ids": ids, "attention_mask": torch.tensor([[n < len(row) for n in range(width)] for row in rows])}


def test_equal_rows_have_one_key_however_they_are_padded():
    wide, narrow = row_keys(_inputs([1, 2], [3, 4, 5])), row_keys(_inputs([1, 2], [2, 1]))
    assert wide[0] == narrow[0] and len({*wide, *narrow}) == 3


def test_pairs_share_a_base_or_a_source():
    first = pair_rows(Batch(_inputs([1], [2], [1]), source=_inputs([5], [5], [6])))
    second = pair_rows(Batch(_inputs([2], [1, 1]), source=_inputs([7], [1])))
    base, source = shared_rows([first, second])
    assert (base[:, None] == base).astype(int).tolist() == [
        *([1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1])
    ]
    assert source[0] == source[1] and len(np.unique(source)) == 4


def test_what_no_two_pairs_share_is_left_out():
    assert shared_rows([pair_rows(Batch(_inputs([1], [2]), source=_inputs([3], [4])))]) == ()
    (source,) = shared_rows([pair_rows(Batch(_inputs([1], [2], [3]), source_rows=torch.tensor([1, 0, 1])))])
    assert source[0] == source[2] != source[1]


def test_windows_of_one_question_are_one_row():
    windows = [{"input_ids": [n, 5], "question": n // 2, "label": (0, 0), "segments": {}, "null": 0} for n in range(6)]
    policies = {"a": PositionPolicy(policy="all")}
    batches = pair_batches(windows, (torch.tensor([0, 1, 2, 4]), torch.tensor([5, 2, 0, 3])), policies, 3, 9)
    base, source = shared_rows([pair_rows(batch.to("cpu")) for batch in batches])
    assert base.tolist() == [0, 0, 1, 2]
    assert source.tolist() == [2, 1, 0, 1]
