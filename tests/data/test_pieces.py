"""Pieces that two tokenizers share, against a search over sets of characters."""

import pytest

from causalkd.data.pieces import Piece, shared_pieces
from tests.data.tiny_tokenizers import ALL, bert_like, gpt2_like
from tests.data.two_readings import FIRST, SECOND, pairs_read_twice, texts_read_twice
from tests.oracles.two_tokenizers import characters, pieces


def test_a_piece_is_divided_no_further_than_both_allow() -> None:
    teacher = [(0, 1), (1, 4), (4, 6), (6, 7), (7, 9)]
    student = [(0, 1), (1, 2), (2, 4), (4, 7), (7, 9)]
    expected = [Piece(0, 1, 0, 1), Piece(1, 2, 1, 3), Piece(2, 4, 3, 4), Piece(4, 5, 4, 5)]
    assert shared_pieces(teacher, student) == expected


def test_what_only_one_model_sees_is_in_no_piece() -> None:
    """The teacher's row is cut after the second token; the student has no special token at the end."""
    assert shared_pieces([(0, 1), (1, 3), (9, 10)], [(0, 1), (1, 3), (3, 9)]) == [Piece(0, 1, 0, 1), Piece(1, 2, 1, 2)]
    assert shared_pieces([(0, 1), (1, 3), (3, 9), (9, 10)], [(1, 3), (3, 5), (9, 10)]) == [
        Piece(1, 2, 0, 1),
        Piece(3, 4, 2, 3),
    ]


def test_tokens_of_one_character_stay_together_and_those_without_one_follow_what_precedes() -> None:
    assert shared_pieces([(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 2), (1, 2), (2, 2), (2, 3)]) == [
        Piece(0, 1, 0, 1),
        Piece(1, 2, 1, 4),
        Piece(2, 3, 4, 5),
    ]


def test_rows_without_tokens_share_nothing() -> None:
    assert shared_pieces([], [(0, 1)]) == shared_pieces([], []) == []


@pytest.mark.parametrize("lengths", [(64, 64), (16, 20), (20, 12)])
@pytest.mark.parametrize("teacher", ALL)
@pytest.mark.parametrize("student", ALL)
@pytest.mark.parametrize("two", [False, True])
def test_real_tokenizers_share_what_their_characters_say(teacher, student, lengths, two) -> None:
    made = (pairs_read_twice if two else texts_read_twice)(teacher(), student(), lengths)
    texts = list(zip(FIRST, SECOND, strict=True)) if two else [(text,) for text in FIRST]
    for row, of_row in zip(made.examples, texts, strict=True):
        sets = [characters(one(), of_row, length) for one, length in zip((teacher, student), lengths, strict=True)]
        assert [tuple(piece) for piece in row["student"]["pieces"]] == pieces(*sets)


def test_a_character_of_several_tokens_is_one_piece() -> None:
    """An emoji is one unknown word piece, and four tokens of bytes."""
    row = texts_read_twice(bert_like(), gpt2_like()).examples[2]
    tokens = bert_like().convert_ids_to_tokens(row["input_ids"])
    shared = {tuple(tokens[start:stop]): (last - first) for start, stop, first, last in row["student"]["pieces"]}
    assert shared["[UNK]",] == 4  # bytes
    assert ("[CLS]",) not in shared  # which a GPT-2 does not have
