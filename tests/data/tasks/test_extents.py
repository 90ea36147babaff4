"""Where tokens stand in their texts, written out by hand."""

from causalkd.data.tasks.encode import encode
from causalkd.data.tasks.extents import extents
from tests.data.tiny_tokenizers import bert_like, gpt2_like


def test_characters_are_counted_through_both_texts_and_special_tokens_have_places_between() -> None:
    (read,) = encode(bert_like(), ["the  dog"], ["a fox"])
    assert read.tokens == ["[CLS]", "the", "dog", "[SEP]", "a", "fox", "[SEP]"]
    assert extents(read, ("the  dog", "a fox")) == [(0, 1), (1, 4), (4, 7), (7, 8), (8, 9), (9, 12), (12, 13)]


def test_white_space_has_no_place_and_bytes_share_the_one_of_their_character() -> None:
    (read,) = encode(gpt2_like(), ["a  é"])
    spaces = [tokens for tokens in read.tokens if set(tokens) == {"Ġ"}]
    found = extents(read, ("a  é",))
    assert spaces and found[0] == (1, 2) and found[-2:] == [(2, 3), (2, 3)]
    assert [each for each, token in zip(found, read.tokens, strict=True) if token in spaces] == [(2, 2)] * len(spaces)


def test_an_empty_second_text_leaves_its_special_tokens_between() -> None:
    (read,) = encode(bert_like(), ["dog"], [""])
    assert read.tokens == ["[CLS]", "dog", "[SEP]", "[SEP]"]
    assert extents(read, ("dog", "")) == [(0, 1), (1, 4), (4, 5), (4, 5)]
