"""What two tokenizers share of a text, found by comparing sets of characters, and positions carried by it."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

Characters = list[set[tuple[Any, int]]]
"""The characters of each token of a row, by text and place; of special tokens how many texts stand before them."""


def characters(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int) -> Characters:
    """The characters of a row's tokens that are no white space."""
    (read,) = tokenizer([texts[0]], *[[text] for text in texts[1:]], truncation=True, max_length=length).encodings or []
    found: Characters = []
    before = 0
    for (start, stop), text in zip(read.offsets, read.sequence_ids, strict=True):
        before = before if text is None else text + 1
        inside = set() if text is None else {(text, n) for n in range(start, stop) if not texts[text][n].isspace()}
        found.append({("special", before)} if text is None else inside)
    return found


def pieces(teacher: Characters, student: Characters) -> list[tuple[int, int, int, int]]:
    """The smallest runs of teacher's tokens whose characters are those of whole student's tokens and of no others."""
    found = []
    for start in range(len(teacher)):
        for stop in range(start + 1, len(teacher) + 1):
            seen = set().union(*teacher[start:stop])
            touched = [number for number, each in enumerate(student) if each & seen]
            outside = [each for number, each in enumerate(teacher) if not start <= number < stop and each & seen]
            if teacher[start] and not outside and set().union(*(student[n] for n in touched)) == seen:
                last = touched[-1] + 1
                while stop < len(teacher) and not teacher[stop]:  # tokens of white space alone
                    stop += 1
                while last < len(student) and not student[last]:
                    last += 1
                found.append((start, stop, touched[0], last))
                break
    return found


def carried(
    drawn: Sequence[tuple[int, int]], base: tuple[Characters, Characters], source: tuple[Characters, Characters]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The drawn pairs of the teacher's tokens that are kept, and the student's pairs."""
    kept, own = [], []
    for b, b_stop, b_own, b_own_stop in pieces(*base):
        for s, s_stop, s_own, s_own_stop in pieces(*source):
            tokens = [(b + n, s + n) for n in range(b_stop - b)]
            alike = b_stop - b == s_stop - s and b_own_stop - b_own == s_own_stop - s_own
            if alike and all(pair in drawn for pair in tokens):
                kept += tokens
                own += [(b_own + n, s_own + n) for n in range(b_own_stop - b_own)]
    return kept, own
