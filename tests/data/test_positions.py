import pytest
import torch

from causalkd.data.positions import Positions
from tests.oracles.positions import paired


def _row_pairs(positions: Positions, row: int) -> list[tuple[int, int]]:
    valid = positions.valid[row]
    return list(zip(positions.base[row][valid].tolist(), positions.source[row][valid].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_from_masks_equals_a_plain_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(6, 9, generator=generator) < 0.4
    source = torch.stack([row[torch.randperm(9, generator=generator)] for row in base])
    source = torch.cat([torch.zeros(6, 2, dtype=torch.bool), source], 1)
    drawn = Positions.from_masks(base, source)
    assert [_row_pairs(drawn, row) for row in range(6)] == paired(base.tolist(), source.tolist())
    assert drawn.base.shape[1] == base.sum(1).max()
    assert (drawn.base[~drawn.valid] == 0).all() and (drawn.source[~drawn.valid] == 0).all()


def test_unequal_masks_name_every_row_and_both_counts() -> None:
    base = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]]).bool()
    source = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0]]).bool()
    with pytest.raises(ValueError, match=r"row 0: 2 base, 1 source; row 2: 3 base, 0 source.*select equally many"):
        Positions.from_masks(base, source)


def test_check_lists_padding_outliers_and_repeats_and_ignores_filler() -> None:
    counted = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1]]).bool()
    good = Positions(
        torch.tensor([[0, 2], [1, 0], [3, 0]]),
        torch.tensor([[2, 2], [3, 0], [0, 0]]),
        torch.tensor([[1, 1], [1, 0], [1, 1]]).bool(),
    )
    good.check(counted, counted)
    bad = Positions(
        torch.tensor([[3, 1], [0, 7], [2, 2]]), torch.tensor([[1, 2], [-1, 1], [0, 1]]), torch.ones(3, 2).bool()
    )
    with pytest.raises(ValueError) as error:
        bad.check(counted, counted)
    message = str(error.value)
    assert "row 0: base positions [3] (the row has 3 real tokens)" in message
    assert "row 1: base positions [0, 7]" in message and "row 1: source positions [-1]" in message
    assert "row 2: base positions [2, 2] name one position twice" in message


def test_reversed_rows_and_to_keep_pairs_together() -> None:
    drawn = Positions.from_masks(torch.eye(3).bool(), torch.eye(3).bool().flip(1))
    assert torch.equal(drawn.swapped().base, drawn.source) and torch.equal(drawn.swapped().source, drawn.base)
    assert drawn.rows(torch.tensor([2, 0])).base.tolist() == [[2], [0]]
    assert drawn.rows(torch.tensor([False, True, False])).source.tolist() == [[1]]
    assert torch.equal(drawn.to("cpu").valid, drawn.valid)


@pytest.mark.parametrize("seed", range(10))
def test_a_source_for_each_position_of_base_and_back(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(0, 9, (5, 7), generator=generator)
    sources = sources.where(torch.rand(5, 7, generator=generator) < 0.5, -1)
    made = Positions.from_sources(sources)
    for row, given in enumerate(sources.tolist()):
        assert _row_pairs(made, row) == [(place, source) for place, source in enumerate(given) if source >= 0]
    assert torch.equal(made.sources(7), sources)
    order = torch.randperm(made.base.shape[1], generator=generator)
    shuffled = Positions(made.base[:, order], made.source[:, order], made.valid[:, order])
    assert torch.equal(shuffled.sources(7), sources)
