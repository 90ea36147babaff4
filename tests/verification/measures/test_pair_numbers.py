"""Whole numbers are kept in bits and come back as they were."""

import numpy as np
import pytest

from causalkd.verification.measures.pair_numbers import PairNumbers, joined, pack


@pytest.mark.parametrize("seed", range(40))
def test_numbers_of_several_batches_come_back(seed):
    draw = np.random.default_rng(seed)
    lists, batches = draw.integers(1, 20), draw.integers(1, 5)
    parts = [draw.integers(0, 2 ** draw.integers(0, 63), (lists, draw.integers(1, 10))) for _ in range(batches)]
    packed, whole = joined([pack(each) for each in parts]), np.concatenate(parts, axis=1)
    for number, expected in enumerate(whole):
        assert PairNumbers(packed, number).values.tolist() == expected.tolist()


@pytest.mark.parametrize(("values", "size"), [(np.ones((16, 50)), 100), (np.full((8, 50), 7.0), 150)])
def test_a_number_takes_the_bits_that_the_largest_needs(values, size):
    assert pack(values).nbytes == size
    assert PairNumbers.of(values[0]).values.tolist() == values[0].tolist()


def test_all_bits_of_a_choice_come_back():
    choice = np.array([-1.5, 0.0, np.inf, 3.25], dtype=np.float32)
    found = PairNumbers.of(choice.view("u4")).values.astype("u4").view(np.float32)
    assert found.tolist() == choice.tolist()
