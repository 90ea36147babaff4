"""Texts as two tokenizers read them, for tests: word pieces like BERT's beside byte-level pairs and Llama's pieces."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.loading import Examples
from causalkd.data.tasks.tokenise import sentence_examples, tag_examples
from causalkd.data.tasks.two_tokenizers import read_twice

FIRST = (
    "the quick brown fox jumps over the lazy dog",
    "a cat sat on the mat in Paris , and it was fine",
    "every mammal strolls 🦊 some birds sing",
    "no beagle walks e\u0301te\u0301  , who  ran where ?",
)
SECOND = ("who ran where ?", "some birds sing 🐦 and a cat sat", "it was fine", "the lazy dog jumps")
TAGS = ("O", "B-X")


def pairs_read_twice(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase, lengths: tuple[int, int] = (64, 64)
) -> Examples:
    """Pairs of texts of two classes."""
    return _both(teacher, student, lengths, FIRST, SECOND)


def texts_read_twice(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase, lengths: tuple[int, int] = (64, 64)
) -> Examples:
    """Texts of two classes."""
    return _both(teacher, student, lengths, FIRST, None)


def _both(
    teacher: PreTrainedTokenizerBase,
    student: PreTrainedTokenizerBase,
    lengths: tuple[int, int],
    first: Sequence[str],
    second: Sequence[str] | None,
) -> Examples:
    labels = [number % 2 for number in range(len(first))]
    readings = [
        Examples(
            sentence_examples(first, second, labels, tokenizer, length, with_extents=True).examples,
            "classification",
            ("no", "yes"),
            "accuracy",
            "made here",
        )
        for tokenizer, length in zip((teacher, student), lengths, strict=True)
    ]
    return read_twice(*readings, 0)


def tags_read_twice(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase, lengths: tuple[int, int] = (64, 64)
) -> Examples:
    """Sentences with a tag for each word."""
    words = [text.split() for text in FIRST]
    tags = [[len(word) % 2 for word in sentence] for sentence in words]
    readings = [
        Examples(
            tag_examples(words, tags, tokenizer, length, with_extents=True).examples,
            "token_classification",
            TAGS,
            "entity_f1",
            "made here",
        )
        for tokenizer, length in zip((teacher, student), lengths, strict=True)
    ]
    return read_twice(*readings, 0)


def padded(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer with a padding token."""
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer
