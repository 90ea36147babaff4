import random
from itertools import pairwise

import pytest
import torch

from causalkd.data.pairs.draw_positions import RowFacts, draw_positions
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.positions import Positions
from tests.oracles.positions import in_segments, real_positions, release_count

POLICIES = [
    {"policy": "all"},
    {"policy": "consecutive", "fraction": 0.3},
    {"policy": "consecutive", "fraction": 0.7, "maximum": 4, "same": True},
    {"policy": "scattered", "fraction": 0.3},
    {"policy": "scattered", "maximum": 3, "same": True},
    {"policy": "masked"},
    {"policy": "masked", "maximum": 2},
    {"policy": "masked", "same": True},
    {"policy": "first"},
    {"policy": "last", "maximum": 3},
    {"policy": "segments", "segments": ("head", "tail")},
    {"policy": "segments", "segments": ("tail", "head"), "fraction": 0.5},
    {"policy": "segments", "segments": ("tail",), "maximum": 2, "same": True},
    {"policy": "explicit", "base": (2, 0), "source": (0, 1)},
]
every_policy = pytest.mark.parametrize("policy", [PositionPolicy(**fields) for fields in POLICIES], ids=str)


def make_rows(lengths: list[int], width: int, side: str, generator: random.Random) -> RowFacts:
    """Rows of these lengths in a rectangle; about a third of the tokens masked; segments from the second token on."""
    counted = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in enumerate(lengths):
        counted[row, slice(0, length) if side == "right" else slice(width - length, width)] = True
    masked = counted & torch.tensor([[generator.random() < 0.35 for _ in range(width)] for _ in lengths])
    cuts = [generator.randint(1, length) for length in lengths]
    heads = torch.tensor([(1, cut) for cut in cuts])
    tails = torch.tensor([(cut, length) for cut, length in zip(cuts, lengths, strict=True)])
    return RowFacts(counted, masked, {"head": heads, "tail": tails})


def random_rows(seed: int, batch: int = 12) -> tuple[RowFacts, RowFacts]:
    generator = random.Random(seed)
    sides = [generator.choice(["left", "right"]) for _ in range(2)]
    lengths = [[generator.randint(3, 14) for _ in range(batch)] for _ in range(2)]
    widths = [max(row) + generator.randint(0, 3) for row in lengths]
    base, source = (make_rows(*parts, generator) for parts in zip(lengths, widths, sides, strict=True))
    return base, source


def row_pairs(positions: Positions, row: int) -> list[tuple[int, int]]:
    valid = positions.valid[row]
    return list(zip(positions.base[row][valid].tolist(), positions.source[row][valid].tolist(), strict=True))


def expected_count(policy: PositionPolicy, base: RowFacts, source: RowFacts, row: int) -> int:
    length, source_length = int(base.lengths[row]), int(source.lengths[row])
    spans = [{name: tuple(span[row].tolist()) for name, span in rows.segments.items()} for rows in (base, source)]
    in_both = min(len(in_segments(policy.segments, named)) for named in spans)
    match policy.policy:
        case "all":
            return min(length, source_length)
        case "consecutive" | "scattered":
            return release_count(policy.fraction or 1.0, policy.maximum, length, source_length)
        case "masked":
            chosen = [
                n for n, place in enumerate(real_positions(base.counted[row].tolist())) if base.masked[row, place]
            ]
            chosen = [n for n in chosen if n < source_length] if policy.same else chosen
            return min(len(chosen), source_length, policy.maximum or length)
        case "first" | "last":
            return min(policy.maximum or 1, length, source_length)
        case "segments":
            return release_count(policy.fraction or 1.0, policy.maximum, in_both, in_both)
        case "explicit":
            return len(policy.base)


@every_policy
@pytest.mark.parametrize("seed", range(10))
def test_draws_are_real_tokens_and_of_the_right_number(policy: PositionPolicy, seed: int) -> None:
    base, source = random_rows(seed)
    drawn = draw_positions(policy, base, source, seed, torch.arange(12) + 100, epoch=seed % 3)
    drawn.check(base.counted, source.counted)
    assert (drawn.base[~drawn.valid] == 0).all() and (drawn.source[~drawn.valid] == 0).all()
    assert not drawn.valid.shape[1] or drawn.valid[:, -1].any(), "wider than needed"
    for row in range(12):
        pairs = row_pairs(drawn, row)
        assert len(pairs) == expected_count(policy, base, source, row)
        tokens = [real_positions(rows.counted[row].tolist()) for rows in (base, source)]
        numbers = [(tokens[0].index(b), tokens[1].index(s)) for b, s in pairs]
        assert len({s for _, s in numbers}) == len(numbers)
        if policy.same and policy.policy != "segments":
            assert all(b == s for b, s in numbers)
        if policy.policy in ("all", "consecutive", "first", "last"):
            assert all(after[k] - before[k] == 1 for before, after in pairwise(numbers) for k in (0, 1))
        if policy.policy in ("scattered", "masked"):
            assert numbers == list(zip(*(sorted(side) for side in zip(*numbers, strict=True)), strict=True))
        if policy.policy == "masked":
            assert all(base.masked[row, b] for b, _ in pairs)


@every_policy
def test_a_draw_depends_on_its_own_row_alone(policy: PositionPolicy) -> None:
    generator = random.Random(3)
    lengths, source_lengths = [[generator.randint(3, 12) for _ in range(10)] for _ in range(2)]
    base = make_rows(lengths, 12, "right", random.Random(4))
    source = make_rows(source_lengths, 12, "left", random.Random(5))
    index = torch.arange(10) * 7
    together = draw_positions(policy, base, source, 9, index, 2)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    shuffled = draw_positions(policy, base.rows(order), source.rows(order), 9, index[order], 2)
    for row in range(10):
        only = torch.tensor([row])
        width = int(base.lengths[row])
        cropped = RowFacts(base.counted[only, :width], base.masked[only, :width], base.rows(only).segments)
        alone = draw_positions(policy, cropped, source.rows(only), 9, index[only], 2)
        assert row_pairs(alone, 0) == row_pairs(together, row) == row_pairs(shuffled, order.tolist().index(row))


@every_policy
def test_padding_side_moves_positions_and_changes_no_draw(policy: PositionPolicy) -> None:
    lengths = [5, 9, 3, 12]
    right, left = (make_rows(lengths, 12, side, random.Random(1)) for side in ("right", "left"))
    shift = 12 - torch.tensor(lengths)[:, None]
    masked = torch.stack([row.roll(int(by)) for row, by in zip(right.masked & right.counted, shift, strict=True)])
    left = RowFacts(left.counted, masked, right.segments)
    one = draw_positions(policy, right, right, 0, torch.arange(4))
    other = draw_positions(policy, left, left, 0, torch.arange(4))
    assert torch.equal(one.valid, other.valid)
    assert torch.equal((one.base + shift).where(one.valid, 0), other.base)
    assert torch.equal((one.source + shift).where(one.valid, 0), other.source)


def same_rows(batch: int, length: int, source_length: int, width: int) -> tuple[RowFacts, RowFacts]:
    return tuple(
        RowFacts((torch.arange(width) < size).repeat(batch, 1), (torch.arange(width) < 4).repeat(batch, 1))
        for size in (length, source_length)
    )


def test_every_start_of_a_span_is_equally_likely_the_ends_included() -> None:
    base, source = same_rows(6000, 10, 7, 11)
    policy = PositionPolicy(policy="consecutive", fraction=0.5)
    drawn = draw_positions(policy, base, source, 1, torch.arange(6000))
    for starts, room in ((drawn.base[:, 0], 8), (drawn.source[:, 0], 5)):  # 3 of 10 tokens, 3 of 7
        counts = torch.bincount(starts, minlength=room)
        assert len(counts) == room and (counts / 6000 - 1 / room).abs().max() < 0.02
    assert abs(torch.corrcoef(torch.stack([drawn.base[:, 0], drawn.source[:, 0]]).float())[0, 1]) < 0.05


@pytest.mark.parametrize("same", [False, True])
def test_scattered_tokens_are_equally_likely(same: bool) -> None:
    base, source = same_rows(6000, 10, 7, 11)
    policy = PositionPolicy(policy="scattered", maximum=3, same=same)
    drawn = draw_positions(policy, base, source, 1, torch.arange(6000))
    for tokens, size in ((drawn.base, 7 if same else 10), (drawn.source, 7)):
        counts = torch.bincount(tokens.flatten(), minlength=size)
        assert len(counts) == size and (counts / 6000 - 3 / size).abs().max() < 0.03


def test_masked_policy_draws_its_source_anywhere_and_its_base_among_the_masked() -> None:
    base, source = same_rows(6000, 10, 7, 11)
    drawn = draw_positions(PositionPolicy(policy="masked", maximum=2), base, source, 1, torch.arange(6000))
    for tokens, size in ((drawn.base, 4), (drawn.source, 7)):
        counts = torch.bincount(tokens.flatten(), minlength=size)
        assert len(counts) == size and (counts / 6000 - 2 / size).abs().max() < 0.03


@pytest.mark.parametrize(
    "policy", [fields for fields in POLICIES if fields["policy"] in ("consecutive", "scattered")], ids=str
)
def test_seed_and_epoch_change_what_is_drawn(policy: dict) -> None:
    base, source = same_rows(200, 10, 10, 10)
    keys = [(0, 0), (1, 0), (0, 1), (0, 0)]
    drawn = [draw_positions(PositionPolicy(**policy), base, source, s, torch.arange(200), e).base for s, e in keys]
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_counts_follow_the_release_at_every_length_and_may_be_zero() -> None:
    lengths = torch.arange(1, 101)
    rows = RowFacts(torch.arange(100) < lengths[:, None])
    for fraction in (0.1, 0.29, 0.3, 0.7, 1.0):
        policy = PositionPolicy(policy="consecutive", fraction=fraction)
        counts = draw_positions(policy, rows, rows, 0, lengths).valid.sum(1)
        assert counts.tolist() == [release_count(fraction, None, n, n) for n in range(1, 101)]
    none = draw_positions(
        policy.model_copy(update={"fraction": 0.1}), *[rows.rows(torch.arange(3))] * 2, 0, lengths[:3]
    )
    assert none.base.shape == (3, 0)


def test_segments_are_laid_end_to_end_and_the_shorter_row_decides() -> None:
    counted = torch.ones(1, 10, dtype=torch.bool)
    base = RowFacts(counted, None, {"a": torch.tensor([[1, 3]]), "b": torch.tensor([[6, 10]])})
    source = RowFacts(counted, None, {"a": torch.tensor([[4, 8]]), "b": torch.tensor([[0, 1]])})
    drawn = draw_positions(PositionPolicy(policy="segments", segments=("b", "a")), base, source, 0, torch.tensor([0]))
    assert row_pairs(drawn, 0) == [(6, 0), (7, 4), (8, 5), (9, 6), (1, 7)]


def test_a_missing_segment_names_segment_example_and_those_there_are() -> None:
    base, source = random_rows(0, batch=3)
    base.segments["head"][1] = -1
    with pytest.raises(ValueError) as error:
        policy = PositionPolicy(policy="segments", segments=("head", "middle"))
        draw_positions(policy, base, source, 0, torch.tensor([40, 41, 42]))
    message = str(error.value)
    assert "position policy 'segments' (base)" in message
    assert "example 41 has no segment 'head'; it has tail" in message
    assert "example 40 has no segment 'middle'; it has head, tail" in message


def test_overlapping_or_outlying_segments_are_refused() -> None:
    rows = RowFacts(
        torch.ones(1, 5, dtype=torch.bool), None, {"a": torch.tensor([[0, 3]]), "b": torch.tensor([[2, 9]])}
    )
    with pytest.raises(ValueError) as error:
        draw_positions(PositionPolicy(policy="segments", segments=("a", "b")), rows, rows, 0, torch.tensor([7]))
    assert "example 7: segment 'b' (2, 9) is not in its 5 tokens" in str(error.value)
    assert "example 7: segments 'a' and 'b' overlap; name one of them" in str(error.value)


def test_explicit_numbers_past_the_end_name_the_examples() -> None:
    base, source = same_rows(2, 6, 4, 8)
    policy = PositionPolicy(policy="explicit", base=(0, 5), source=(1, 4))
    with pytest.raises(ValueError, match="explicit' \\(source\\): example 3 has no token 4: it has 4 tokens"):
        draw_positions(policy, base, source, 0, torch.tensor([3, 4]))


def test_masked_policy_needs_masked_tokens() -> None:
    base, source = same_rows(2, 6, 4, 8)
    with pytest.raises(ValueError, match=r"only masked_lm corrupts its input. Choose another policy"):
        draw_positions(PositionPolicy(policy="masked"), RowFacts(base.counted), source, 0, torch.tensor([3, 4]))
