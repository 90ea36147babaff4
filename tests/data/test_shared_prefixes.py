"""Positions of two tokenizers that have read the same characters, against a search written out by hand."""

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Inputs, pad
from causalkd.data.shared_prefixes import shared_prefixes
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like

TEXTS = ["the quick brown fox jumps", "a cat sat on the mat in Paris", "dog"]


def _batch(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Inputs:
    return pad([{"input_ids": tokenizer(text)["input_ids"]} for text in texts], 0)


@pytest.mark.parametrize(("own", "other"), [(gpt2_like, llama_like), (llama_like, gpt2_like)])
def test_the_same_characters_lie_behind_both_positions(own, other) -> None:
    tokenizer, others = own(), other()
    inputs = _batch(tokenizer, TEXTS)
    found = shared_prefixes(inputs, tokenizer, others)
    pairs = set(zip(found.own.tolist(), found.other.tolist(), strict=True))
    assert len(pairs) == len(found.own) > len(TEXTS)
    expected, widths = set(), (inputs["input_ids"].shape[1], found.inputs["input_ids"].shape[1])
    for row, text in enumerate(TEXTS):
        ours, theirs = (t(text)["input_ids"] for t in (tokenizer, others))
        for one in range(len(ours)):
            for two in range(len(theirs)):
                behind = [
                    t.decode(ids[: place + 1], skip_special_tokens=True)
                    for t, ids, place in ((tokenizer, ours, one), (others, theirs, two))
                ]
                if behind[0] == behind[1]:
                    expected.add((row * widths[0] + one, row * widths[1] + two))
    assert pairs == expected


def test_the_other_inputs_are_what_its_tokenizer_makes_of_the_texts() -> None:
    found = shared_prefixes(_batch(gpt2_like(), TEXTS), gpt2_like(), llama_like())
    for row, text in enumerate(TEXTS):
        real = found.inputs["attention_mask"][row].bool()
        assert found.inputs["input_ids"][row][real].tolist() == llama_like()(text)["input_ids"]


def test_rows_padded_on_the_left_have_the_same_pairs() -> None:
    tokenizer = gpt2_like()
    rows = [{"input_ids": tokenizer(text)["input_ids"]} for text in TEXTS]
    right, left = (shared_prefixes(pad(rows, 0, side), tokenizer, llama_like()) for side in ("right", "left"))
    width = max(len(row["input_ids"]) for row in rows)
    shift = torch.tensor([width - len(row["input_ids"]) for row in rows])
    assert torch.equal(right.other, left.other)
    assert torch.equal(right.own + shift[right.own // width], left.own)


def test_a_part_of_a_character_is_in_no_pair() -> None:
    tokenizer = gpt2_like()
    inputs = _batch(tokenizer, ["é"])  # two bytes, and two tokens
    assert inputs["input_ids"].shape == (1, 2)
    found = shared_prefixes(inputs, tokenizer, gpt2_like())
    assert found.own.tolist() == [1]


@pytest.mark.parametrize(("own", "other"), [(gpt2_like, llama_like), (llama_like, gpt2_like)])
def test_documents_of_one_row_are_paired_each_with_an_end_between(own, other) -> None:
    tokenizer, others = own(), other()
    ends = tokenizer.eos_token_id, others.eos_token_id
    parts = [[t(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:2]] for t in (tokenizer, others)]
    begun = tokenizer("")["input_ids"], others("")["input_ids"]
    rows = [[*before, *first, end, *second] for before, (first, second), end in zip(begun, parts, ends, strict=True)]
    found = shared_prefixes(pad([{"input_ids": rows[0]}], 0), tokenizer, others)
    assert found.inputs["input_ids"].tolist() == [rows[1]]
    pairs = dict(zip(found.own.tolist(), found.other.tolist(), strict=True))
    middle = [row.index(end, 1) for row, end in zip(rows, ends, strict=True)]
    assert pairs[middle[0]] == middle[1] and pairs[len(rows[0]) - 1] == len(rows[1]) - 1
    for one, two in pairs.items():
        behind = [
            t.decode([token for token in row[: place + 1] if token not in t.all_special_ids])
            for t, row, place in ((tokenizer, rows[0], one), (others, rows[1], two))
        ]
        assert (one < middle[0]) == (two < middle[1]) and behind[0].replace(" ", "") == behind[1].replace(" ", "")


def test_a_special_token_inside_a_text_is_refused() -> None:
    tokenizer = gpt2_like()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<user>"]})
    with pytest.raises(ValueError, match="special tokens inside its text, as of a chat template"):
        shared_prefixes(_batch(tokenizer, ["the cat<user>a dog"]), tokenizer, llama_like())
    packed = _batch(tokenizer, ["the cat"]) | {"documents": torch.tensor([[1, 2]])}
    with pytest.raises(ValueError, match=r"the rows are packed, and .* turn packing off"):
        shared_prefixes(packed, tokenizer, llama_like())


def test_a_tokenizer_that_loses_characters_is_refused() -> None:
    with pytest.raises(ValueError, match="gives 'paris' back for 'Paris', so its positions cannot be found"):
        shared_prefixes(_batch(gpt2_like(), ["Paris"]), gpt2_like(), bert_like())


def test_a_row_that_is_too_long_for_the_other_is_refused() -> None:
    other = llama_like()
    other.model_max_length = 3
    with pytest.raises(ValueError, match="tokens of the teacher, whose tokenizer allows 3; give a smaller max_length"):
        shared_prefixes(_batch(gpt2_like(), TEXTS), gpt2_like(), other)
