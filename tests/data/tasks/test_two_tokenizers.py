"""Examples in the tokens of two models, against each tokenizer asked by itself."""

from dataclasses import replace

import pytest

from causalkd.data.tasks.loading import Examples
from causalkd.data.tasks.tokenise import sentence_examples, tag_examples
from causalkd.data.tasks.two_tokenizers import carried, in_teachers_tokens, read_twice
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like
from tests.data.two_readings import FIRST, SECOND, pairs_read_twice, tags_read_twice


def test_each_model_reads_what_its_stock_tokenizer_makes() -> None:
    made = pairs_read_twice(bert_like(), llama_like(), (16, 12))
    assert made.student_pad_id == 0 and made.kind == "classification"
    for row, first, second in zip(made.examples, FIRST, SECOND, strict=True):
        for read, tokenizer, length in ((row, bert_like(), 16), (row["student"], llama_like(), 12)):
            stock = tokenizer(first, second, truncation="longest_first", max_length=length)
            assert read["input_ids"] == stock["input_ids"]
            assert read.get("token_type_ids") == stock.get("token_type_ids")
        assert "extents" not in row and "label" not in row["student"]


def test_words_are_labelled_where_both_models_have_a_token_of_them() -> None:
    made = tags_read_twice(bert_like(), gpt2_like(), (64, 10))
    words = [text.split() for text in FIRST]
    short = tag_examples(words, [[0] * len(each) for each in words], gpt2_like(), 10).examples
    assert made.lost == sum(len(each) for each in words) - sum(len(row["words"]) for row in made.examples) > 0
    for row, cut, sentence in zip(made.examples, short, words, strict=True):
        assert row["words"] == cut["words"]
        assert [label for label in row["label"] if label >= 0] == [len(sentence[word]) % 2 for word in row["words"]]
        assert row["student"]["labelled"] == [place for place, label in enumerate(cut["label"]) if label >= 0]


def test_the_teachers_own_examples_come_back() -> None:
    made = in_teachers_tokens(pairs_read_twice(bert_like(), gpt2_like()))
    plain = sentence_examples(FIRST, SECOND, [0, 1, 0, 1], bert_like(), 64).examples
    assert list(made.examples) == list(plain) and made.student_pad_id is None
    assert in_teachers_tokens(made) is made


def test_a_teacher_alone_keeps_the_words_that_only_it_has_a_token_of() -> None:
    words = [text.split() for text in FIRST]
    plain = tag_examples(words, [[len(word) % 2 for word in each] for each in words], bert_like(), 64).examples
    read = tags_read_twice(bert_like(), gpt2_like(), (64, 10))
    made = in_teachers_tokens(read)
    assert list(made.examples) == list(plain)
    assert made.lost == 0 < (read.lost or 0)


def _examples(kind, rows) -> Examples:
    return Examples(rows, kind, ("no", "yes"), "accuracy", "here")


def test_predictions_over_tokens_other_rows_and_rows_without_extents_are_refused() -> None:
    one, other = (
        sentence_examples(FIRST, None, [0, 1, 0, 1], tokenizer, 64, with_extents=True).examples
        for tokenizer in (bert_like(), gpt2_like())
    )
    for kind in ("causal_lm", "masked_lm", "question_answering"):
        with pytest.raises(ValueError, match=f"the predictions of {kind} are over tokens"):
            read_twice(_examples(kind, one), _examples(kind, other), 0)
    with pytest.raises(ValueError, match="not of the same rows; load both with the same task, split, limit and seed"):
        read_twice(_examples("classification", one), _examples("classification", other[::-1]), 0)
    plain = sentence_examples(FIRST, None, [0, 1, 0, 1], gpt2_like(), 64).examples
    with pytest.raises(ValueError, match="load them with with_extents=True"):
        read_twice(_examples("classification", one), _examples("classification", plain), 0)


def test_rows_that_are_cut_for_the_students_alone_are_told() -> None:
    one, other = (
        sentence_examples(FIRST, None, [0, 1, 0, 1], tokenizer, length, with_extents=True)
        for tokenizer, length in ((bert_like(), 64), (gpt2_like(), 8))
    )
    read = replace(_examples("classification", other.examples), truncated=other.truncated)
    made = read_twice(_examples("classification", one.examples), read, 0)
    assert made.notes() == ["4 cut to length for the students"] and in_teachers_tokens(made).notes() == []


def test_how_many_of_the_students_tokens_are_reached_is_said() -> None:
    made = pairs_read_twice(bert_like(), gpt2_like())
    inside = total = 0
    for row in made.examples:
        places = {place for *_, start, stop in row["student"]["pieces"] for place in range(start, stop)}
        inside, total = inside + len(places), total + len(row["student"]["input_ids"])
    assert 0 < inside < total
    said = carried(made)
    assert said is not None and said.startswith(f"{inside} of {total} tokens of the students' own tokenizer (")
    assert carried(in_teachers_tokens(made)) is None
