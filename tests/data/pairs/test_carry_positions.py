"""Positions carried to another tokenizer's tokens, against loops over sets of characters."""

import pytest
import torch

from causalkd.data.batch import Batch, pad
from causalkd.data.pairs.carry_positions import Rows, carry_positions, stacked_pieces
from causalkd.data.pairs.draw_positions import PositionPolicy, RowFacts, draw_positions
from causalkd.data.pieces import Piece
from causalkd.data.positions import Positions
from causalkd.data.tasks.loading import Examples
from tests.data.tiny_tokenizers import ALL, bert_like, gpt2_like
from tests.data.two_readings import FIRST, SECOND, pairs_read_twice
from tests.oracles.two_tokenizers import carried, characters

POLICIES = (
    PositionPolicy(policy="all"),
    PositionPolicy(policy="first"),
    PositionPolicy(policy="consecutive", fraction=0.5),
    PositionPolicy(policy="scattered", fraction=0.5),
    PositionPolicy(policy="segments", segments=("second", "first")),
)
SOURCES = [2, 0, 3, 1]


def _pairs(positions: Positions, base: torch.Tensor, source: torch.Tensor) -> list[list[tuple[int, int]]]:
    """The pairs of token numbers of each row."""
    starts = [counted.int().argmax(1).tolist() for counted in (base, source)]
    found = []
    for row, valid in enumerate(positions.valid):
        one, other = positions.base[row][valid].tolist(), positions.source[row][valid].tolist()
        found.append([(b - starts[0][row], s - starts[1][row]) for b, s in zip(one, other, strict=True)])
    return found


def _rows(pieces, counted: torch.Tensor, student_counted: torch.Tensor) -> Rows:
    return Rows(stacked_pieces(pieces), counted, student_counted)


def _facts(made: Examples, order: list[int], side, of_student: bool) -> RowFacts:
    rows = [made.examples[number] for number in order]
    inputs = pad([row["student"] if of_student else row for row in rows], 0, side)
    segments = {name: torch.tensor([row["segments"][name] for row in rows]) for name in ("first", "second")}
    return RowFacts(Batch(inputs).counted, None, segments)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.policy)
@pytest.mark.parametrize("teacher", ALL)
@pytest.mark.parametrize("student", ALL)
@pytest.mark.parametrize("side", ["left", "right"])
def test_both_models_are_intervened_on_at_the_same_characters(policy, teacher, student, side) -> None:
    lengths = (18, 24)
    made = pairs_read_twice(teacher(), student(), lengths)
    base, source = _facts(made, [0, 1, 2, 3], side, False), _facts(made, SOURCES, side, False)
    of_student = [_facts(made, order, side, True).counted for order in ([0, 1, 2, 3], SOURCES)]
    drawn = draw_positions(policy, base, source, 3, torch.arange(4))
    shared = [row["student"]["pieces"] for row in made.examples]
    rows = (
        _rows(shared, base.counted, of_student[0]),
        _rows([shared[n] for n in SOURCES], source.counted, of_student[1]),
    )
    kept, own = carry_positions(drawn, *rows)
    kept.check(base.counted, source.counted)
    own.check(*of_student)
    sets = [
        [characters(tokenizer(), texts, length) for texts in zip(FIRST, SECOND, strict=True)]
        for tokenizer, length in zip((teacher, student), lengths, strict=True)
    ]
    pairs, expected = _pairs(drawn, base.counted, source.counted), []
    for row, number in enumerate(SOURCES):
        expected.append(carried(pairs[row], (sets[0][row], sets[1][row]), (sets[0][number], sets[1][number])))
    found = zip(_pairs(kept, base.counted, source.counted), _pairs(own, *of_student), strict=True)
    assert [tuple(map(sorted, each)) for each in found] == [tuple(map(sorted, each)) for each in expected]
    if policy.policy == "all":
        assert kept.valid.any()


def test_a_model_of_the_same_tokenizer_gets_the_drawn_positions_unless_a_character_is_divided() -> None:
    made = pairs_read_twice(bert_like(), bert_like())
    base, source = _facts(made, [0, 1, 2, 3], "right", False), _facts(made, SOURCES, "right", False)
    drawn = draw_positions(POLICIES[0], base, source, 3, torch.arange(4))
    shared = [row["student"]["pieces"] for row in made.examples]
    rows = (
        _rows(shared, base.counted, base.counted),
        _rows([shared[n] for n in SOURCES], source.counted, source.counted),
    )
    for positions in carry_positions(drawn, *rows):
        assert _pairs(positions, base.counted, source.counted) == _pairs(drawn, base.counted, source.counted)


def test_pieces_of_different_numbers_of_tokens_and_drawn_parts_of_pieces_are_left_out() -> None:
    counted, of_student = torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)
    base = _rows([[Piece(0, 1, 0, 1), Piece(1, 2, 1, 3), Piece(2, 4, 3, 4)]], counted, of_student)
    source = _rows([[Piece(0, 1, 0, 1), Piece(1, 2, 1, 2), Piece(2, 4, 2, 3)]], counted, of_student)

    def carry(*pairs: tuple[int, int]) -> list[list[list[tuple[int, int]]]]:
        one, other = (torch.tensor([list(side)]) for side in zip(*pairs, strict=True))
        found = carry_positions(Positions(one, other, torch.ones_like(one, dtype=torch.bool)), base, source)
        return [_pairs(each, counted, counted) for each in found]

    assert carry((0, 0), (1, 1), (2, 2), (3, 3)) == [[[(0, 0), (2, 2), (3, 3)]], [[(0, 0), (3, 2)]]]
    assert carry((2, 2), (0, 1)) == [[[(0, 1)]], [[(0, 1)]]]  # half a piece; a special token gives to a word
    assert carry((1, 0), (3, 2)) == [[[]], [[]]]


def test_special_tokens_that_a_model_has_not_are_in_no_intervention() -> None:
    made = pairs_read_twice(bert_like(), gpt2_like())
    assert all(piece[0] != 0 for row in made.examples for piece in row["student"]["pieces"])
