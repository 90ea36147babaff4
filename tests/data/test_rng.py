import numpy as np
import pytest
import torch

from causalkd.data.rng import Stream, integers, uniforms


def splitmix64(state: int) -> int:
    """One output of the published generator, in Python's unbounded integers."""
    mask = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def oracle(seed: int, epoch: int, index: int, stream: int, number: int) -> float:
    key = splitmix64(seed % 2**64)
    for part in (epoch, stream, index):
        key = splitmix64(key ^ part)
    state = (key + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    return (splitmix64(state) >> 11) / 2**53


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5, -3])
def test_numbers_are_those_of_the_published_hash(seed: int) -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the first output of the reference implementation from state 0
    drawn = uniforms(seed, 3, torch.tensor([0, 7, 123_456]), Stream.MASKED_TOKENS, 5)
    expected = [[oracle(seed, 3, i, Stream.MASKED_TOKENS, j) for j in range(5)] for i in (0, 7, 123_456)]
    assert drawn.tolist() == expected


def test_a_number_depends_on_its_key_alone() -> None:
    many = uniforms(5, 1, torch.arange(100), Stream.BASE_POSITIONS, 40)
    alone = uniforms(5, 1, np.array([42]), Stream.BASE_POSITIONS, 3)
    assert torch.equal(many[42, :3], alone[0])


def test_every_part_of_the_key_matters_and_parts_do_not_change_places() -> None:
    index = torch.arange(50)
    keys = [(0, 0, Stream.BASE_POSITIONS), (1, 0, Stream.BASE_POSITIONS), (0, 1, Stream.BASE_POSITIONS)]
    keys += [(0, 0, stream) for stream in Stream if stream is not Stream.BASE_POSITIONS]
    drawn = [uniforms(seed, epoch, index, stream, 4) for seed, epoch, stream in keys]
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :]:
            assert not (one == other).any()
            assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.3


def test_numbers_are_uniform_over_examples_and_over_places() -> None:
    drawn = uniforms(11, 0, torch.arange(4000), Stream.REPLACEMENTS, 16)
    assert drawn.min() >= 0 and drawn.max() < 1
    for column in (drawn[:, 0], drawn[:, 15], drawn.flatten()):
        share = torch.histc(column.float(), 10, 0, 1) / len(column)
        assert (share - 0.1).abs().max() < 5 * (0.09 / len(column)) ** 0.5
    assert abs(torch.corrcoef(drawn[:, :2].T)[0, 1]) < 0.06


def test_integers_reach_both_ends_and_nothing_beyond() -> None:
    below = torch.arange(4000) % 7 + 1
    drawn = integers(2, 0, torch.arange(4000), Stream.SOURCE_EXAMPLE, below)
    for bound in range(1, 8):
        counts = torch.bincount(drawn[below == bound], minlength=bound)
        assert len(counts) == bound
        assert (counts / counts.sum() - 1 / bound).abs().max() < 0.08
