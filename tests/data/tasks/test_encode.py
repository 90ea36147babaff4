import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from causalkd.data.tasks.encode import (
    RowNames,
    encode,
    room_for_blocks,
    special_tokens_around,
    token_ids,
    unknown_share,
)
from tests.data.tiny_tokenizers import ALL, WORDS, bert_like, llama_like


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_special_tokens_stand_around_the_tokens_of_a_text(make) -> None:
    tokenizer = make()
    before, after = special_tokens_around(tokenizer)
    (ids,) = token_ids(tokenizer, [WORDS])
    assert before + ids + after == tokenizer(WORDS)["input_ids"]
    assert ids == tokenizer(WORDS, add_special_tokens=False)["input_ids"]
    assert room_for_blocks(tokenizer, 16) == 16 - len(tokenizer("")["input_ids"])


def test_a_tokenizer_of_few_letters_and_none_for_unknown_words() -> None:
    """Such as one of a genome, to which many texts are nothing at all."""
    for model in (WordLevel({"[CLS]": 0, "C": 1, "G": 2}), BPE({"[CLS]": 0, "C": 1, "G": 2}, [])):
        backend = Tokenizer(model)
        backend.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
        of_letters = PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="[CLS]")
        assert special_tokens_around(of_letters) == ([0], [])
    nothing = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"two words": 0}, [])))
    with pytest.raises(ValueError, match="makes no token of any word of its own vocabulary; name another tokenizer"):
        special_tokens_around(nothing)


def test_a_word_that_a_tokenizer_cannot_read_is_refused() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"C": 0})))
    with pytest.raises(ValueError, match=r"cannot read a text: .*WordLevel error: .*; name a tokenizer that reads any"):
        encode(tokenizer, ["T"])


def test_of_no_texts_there_are_no_tokens() -> None:
    assert encode(bert_like(), []) == encode(bert_like(), [], []) == token_ids(bert_like(), []) == []


def test_a_length_without_room_for_text_is_refused() -> None:
    with pytest.raises(ValueError, match="max_length 1 leaves no room for text beside the special tokens"):
        room_for_blocks(llama_like(), 1)


def test_only_the_first_rows_are_named() -> None:
    assert RowNames().some([1, 2]) == "rows 2, 3"
    assert RowNames("a.csv", range(10, 30)).some(range(8)) == "rows 11, 12, 13, 14, 15 and 3 more of a.csv"


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow(PreTrainedTokenizerFast):
        is_fast = False

    slow = Slow(tokenizer_object=bert_like().backend_tokenizer)
    with pytest.raises(ValueError, match=r"Slow is not a fast tokenizer.*Load it with AutoTokenizer"):
        encode(slow, ["a"])


def test_the_share_of_unknown_tokens_is_without_special_ones():
    tokenizer = bert_like()
    rows = tokenizer(["the fox", "жук fox", ""])["input_ids"]
    assert unknown_share(tokenizer, rows) == 0.25 and unknown_share(tokenizer, []) == 0.0
    assert unknown_share(tokenizer, tokenizer(["жук жук"])["input_ids"]) == 1.0
