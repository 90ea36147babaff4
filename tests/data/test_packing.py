"""Packing: every document once, none cut, few rows, none longer than asked."""

import pytest
import torch

from causalkd.data.packing import pack


def rows(*lengths):
    return [{"input_ids": [n] * length, "label": [n] * length, "segments": {}} for n, length in enumerate(lengths)]


def test_documents_are_whole_and_numbered():
    packed = pack(rows(3, 6, 2, 4), 7)
    assert [row["input_ids"] for row in packed] == [[1] * 6, [3] * 4 + [0] * 3, [2] * 2]
    assert packed[1]["documents"] == [1] * 4 + [2] * 3
    assert packed[1]["label"] == [-100, 3, 3, 3, -100, 0, 0]
    assert "segments" not in packed[1]


def test_many_documents_fill_rows_well():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 60, (500,), generator=generator).tolist()
    packed = pack(rows(*lengths), 64)
    assert max(len(row["input_ids"]) for row in packed) <= 64
    found = sorted(token for row in packed for token in row["input_ids"])
    assert found == [n for n, length in enumerate(lengths) for _ in range(length)]
    assert len(packed) <= 1.05 * sum(lengths) / 64 + 1


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(ValueError, match=r"examples \[0, 1\] are over 2 tokens"):
        pack(rows(3, 4, 2), 2)
    with pytest.raises(ValueError, match="have no label per token, so only a causal LM's can be packed"):
        pack([{"input_ids": [1, 2], "label": 1}], 8)
