import re
from itertools import pairwise

import pytest
from transformers import PreTrainedTokenizerFast

from causalkd.data.tasks import tokenise
from causalkd.data.tasks.encode import encode
from causalkd.data.tasks.tokenise import answer_examples, sentence_examples, tag_examples
from tests.data.tiny_tokenizers import ALL, WORDS, bert_like, gpt2_like

every_tokenizer = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


def decoded(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


@every_tokenizer
def test_one_text_is_its_tokens_its_label_and_one_segment(make) -> None:
    tokenizer = make()
    done = sentence_examples(["the quick fox", "a lazy dog sat"], None, [1, 0], tokenizer, 32)
    assert done.truncated == done.lost == 0
    for example, text, label in zip(done.examples, ["the quick fox", "a lazy dog sat"], [1, 0], strict=True):
        assert example["input_ids"] == tokenizer(text)["input_ids"] and example["label"] == label
        start, stop = example["segments"]["text"]
        inside = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert example["input_ids"][start:stop] == inside and len(example["segments"]) == 1


@every_tokenizer
def test_a_pair_names_both_texts(make) -> None:
    tokenizer = make()
    first, second = ["the quick fox", "a dog"], ["it was fine", "the cat sat on the mat"]
    done = sentence_examples(first, second, [0.5, 1.0], tokenizer, 64)
    for example, *texts in zip(done.examples, first, second, strict=True):
        assert example["input_ids"] == tokenizer(*texts)["input_ids"]
        for name, text in zip(("first", "second"), texts, strict=True):
            start, stop = example["segments"][name]
            assert example["input_ids"][start:stop] == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_token_types_come_with_tokenizers_that_have_them() -> None:
    (example,) = sentence_examples(["the fox"], ["a dog"], [0], bert_like(), 64).examples
    start, stop = example["segments"]["second"]
    assert example["token_type_ids"] == [0] * start + [1] * (stop - start + 1)
    assert "token_type_ids" not in sentence_examples(["the fox"], None, [0], gpt2_like(), 64).examples[0]


@every_tokenizer
def test_what_is_too_long_is_cut_and_counted(make) -> None:
    done = sentence_examples(["the fox", WORDS], ["a cat", "a dog"], [0, 0], make(), 12)
    assert done.truncated == 1 and [len(example["input_ids"]) for example in done.examples][1] == 12
    start, stop = done.examples[1]["segments"]["second"]
    assert decoded(make(), done.examples[1]["input_ids"][start:stop]) == "a dog", "the longer text is cut first"


def test_rows_with_an_empty_text_are_counted() -> None:
    tokenizer = bert_like()
    assert sentence_examples(["", "the fox", " \n"], None, [0, 0, 0], tokenizer, 12).empty == 2
    assert sentence_examples(["", "the fox", "a"], ["", "", "a"], [0, 0, 0], tokenizer, 12).empty == 2
    answers = [[(0, "the")], [], []]
    done = answer_examples(["who ?", "", "who ?"], ["the fox", "the fox", ""], answers, tokenizer, 32)
    assert (done.empty, len(done.examples)) == (2, 3)


@every_tokenizer
def test_a_word_is_labelled_on_its_first_token_only(make) -> None:
    words = [["Paris", "sings", "in", "zebras"], ["the", "fox"]]
    tags = [[3, 0, 0, 5], [1, 2]]
    tokenizer = make()
    done = tag_examples(words, tags, tokenizer, 64)
    assert (done.truncated, done.lost) == (0, 0)
    for example, row, row_tags in zip(done.examples, words, tags, strict=True):
        assert example["input_ids"] == tokenizer(" ".join(row))["input_ids"]
        labelled = [place for place, label in enumerate(example["label"]) if label != -100]
        assert [example["label"][place] for place in labelled] == row_tags
        ends = [*labelled[1:], example["segments"]["text"][1]]
        for start, end, word in zip(labelled, ends, row, strict=True):
            pieces = tokenizer.decode(example["input_ids"][start:end]).strip()
            assert pieces in (word, word.lower()) or tokenizer.unk_token in pieces


def test_words_without_a_token_are_counted() -> None:
    done = tag_examples([["the", "\u200b", "fox"], ["fox"] * 10], [[1, 2, 3], [0] * 10], bert_like(), 6)
    assert [label for label in done.examples[0]["label"] if label != -100] == [1, 3]
    assert done.truncated == 1 and done.lost == 1 + 10 - sum(label == 0 for label in done.examples[1]["label"])


def test_emoji_of_several_tokens_have_one_label() -> None:
    (example,) = tag_examples([["a", "😀", "cat"]], [[1, 2, 3]], gpt2_like(), 32).examples
    assert [label for label in example["label"] if label != -100] == [1, 2, 3]


CONTEXT = "the quick brown fox jumps over the lazy dog , a cat sat on the mat in Paris"


@every_tokenizer
@pytest.mark.parametrize("answer", ["the quick", "fox", "lazy dog", "mat in Paris", CONTEXT])
def test_an_answer_is_the_tokens_that_stand_for_its_characters(make, answer: str) -> None:
    tokenizer, start = make(), CONTEXT.index(answer)
    done = answer_examples(["who jumps ?"], [CONTEXT], [[(start, answer), (0, "the")]], tokenizer, 64)
    (example,) = done.examples
    first, last = example["label"]
    opened, closed = example["segments"]["second"]
    assert opened <= first <= last < closed and done.lost == 0
    characters = example["offsets"][first][0], example["offsets"][last][1]
    assert example["text"][slice(*characters)].strip() == answer
    assert example["answers"] == [answer, "the"]
    outside = [span for place, span in enumerate(example["offsets"]) if not opened <= place < closed]
    assert set(outside) <= {(0, 0)}


@every_tokenizer
def test_a_long_context_becomes_windows_that_lose_no_token_and_no_answer(make) -> None:
    tokenizer, answer = make(), (CONTEXT.index("Paris"), "Paris")
    done = answer_examples(["who ?", "where ?"], [CONTEXT] * 2, [[(0, "the")], [answer]], tokenizer, 14, overlap=3)
    assert (done.truncated, done.lost) == (0, 0)
    for number in (0, 1):
        windows = [example for example in done.examples if example["question"] == number]
        covered = {at for example in windows for span in example["offsets"] for at in range(*span)}
        assert len(windows) > 2 and {at for at, letter in enumerate(CONTEXT) if letter != " "} <= covered
        assert all(len(example["input_ids"]) <= 14 and example["text"] == CONTEXT for example in windows)
        asked = [example["input_ids"][slice(*example["segments"]["first"])] for example in windows]
        assert asked == [asked[0]] * len(windows)
        for one, two in pairwise(windows):
            (start, stop), (begin, _) = one["segments"]["second"], two["segments"]["second"]
            assert one["offsets"][stop - 3 : stop] == two["offsets"][begin : begin + 3] and stop - start > 3
        held = [example for example in windows if example["label"] != (example["null"],) * 2]
        assert held and all(decoded_answer(example) == ("the", "Paris")[number] for example in held)


def decoded_answer(example: dict) -> str:
    first, last = example["label"]
    return example["text"][example["offsets"][first][0] : example["offsets"][last][1]].strip()


def test_no_part_of_an_answer_is_its_label_whichever_side_a_tokenizer_cuts() -> None:
    tokenizer, words = bert_like(), [found.span() for found in re.finditer(r"\S+", CONTEXT)]
    asked = [(start, stop) for first, (start, _) in enumerate(words) for _, stop in words[first : first + 8]]
    answers = [[(start, CONTEXT[start:stop])] for start, stop in asked]
    for side in ("left", "right"):
        tokenizer.truncation_side = side
        done = answer_examples(["who ?"] * len(asked), [CONTEXT] * len(asked), answers, tokenizer, 14, overlap=7)
        held = [example for example in done.examples if example["label"][0] > 0]
        assert len(held) > len(asked)
        assert [decoded_answer(example) for example in held] == [example["answers"][0] for example in held]


def test_an_answer_that_stands_whole_in_no_window_counts_in_no_loss_and_is_reported() -> None:
    done = answer_examples(["who ?"], [CONTEXT], [[(0, CONTEXT)]], bert_like(), 14)
    assert done.lost == 1 and {example["label"] for example in done.examples} == {(-100, -100)}


@every_tokenizer
def test_a_question_without_an_answer_is_labelled_with_the_null_token(make) -> None:
    tokenizer = make()
    done = answer_examples(["who ?"], [CONTEXT], [[]], tokenizer, 64)
    (example,) = done.examples
    null = example["input_ids"].index(tokenizer.cls_token_id) if tokenizer.cls_token_id is not None else 0
    assert example["label"] == (null, null) and example["answers"] == [] and done.lost == 0


def test_tags_of_words_that_are_cut_off_are_kept_beside_the_labels() -> None:
    (example,) = tag_examples([["fox", "\u200b", *["fox"] * 8]], [[2, 1, *[0] * 7, 1]], bert_like(), 6).examples
    assert example["tags"] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1] and example["words"][:2] == [0, 2]
    assert len(example["words"]) == sum(label != -100 for label in example["label"])


def test_answers_that_are_not_there_and_questions_that_fill_the_row_are_errors() -> None:
    with pytest.raises(ValueError, match=r"row 2: the answer 'the' \(str\) does not stand in its context at char"):
        answer_examples(["who ?"] * 2, [CONTEXT] * 2, [[(0, "the")], [(1, "the")]], bert_like(), 32)
    with pytest.raises(ValueError, match=r"leave no room for their context within max_length 8, rows 1 \(the longest"):
        answer_examples([CONTEXT], [CONTEXT], [[(0, "the")]], bert_like(), 8)


def test_a_length_without_room_for_text_and_texts_without_tokens_are_errors() -> None:
    with pytest.raises(ValueError, match="max_length 3 leaves no room for text beside the special tokens"):
        sentence_examples(["a"], ["b"], [0], bert_like(), 3)
    with pytest.raises(ValueError, match=r"texts without any token, rows 2\. Leave them out"):
        sentence_examples(["a", ""], None, [0, 0], gpt2_like(), 8)


def _made_of_each_kind():
    words = [["the", "fox"], ["a", "\u200b", "cat", "sat"], ["dog"] * 30, ["who"], ["a", "fox"]]
    texts = [" ".join(sentence) for sentence in words]
    answers = [[(0, text.split()[0])] for text in texts]
    return (
        sentence_examples(texts, texts[::-1], [0, 1, 2, 0, 1], bert_like(), 12, with_extents=True),
        tag_examples(words, [[number] * len(row) for number, row in enumerate(words)], bert_like(), 12),
        answer_examples(["who ?", "a", "the fox", "who", "it"], texts, answers, bert_like(), 14, overlap=3),
    )


def test_rows_that_are_tokenised_in_parts_are_the_same(monkeypatch):
    whole, asked = _made_of_each_kind(), []

    def recorded(tokenizer, first, *given, **options):
        asked.append(len(first))
        return encode(tokenizer, first, *given, **options)

    monkeypatch.setattr(tokenise, "_AT_ONCE", 2)
    monkeypatch.setattr(tokenise, "encode", recorded)
    for one, other in zip(whole, _made_of_each_kind(), strict=True):
        assert list(one.examples) == list(other.examples) and len(one.examples) >= 5
        assert (one.truncated, one.lost) == (other.truncated, other.lost)
    assert max(asked) == 2
    with pytest.raises(ValueError, match=r"texts without any token, rows 2, 5\. Leave them out"):
        sentence_examples(["a", "", "a", "a", ""], None, [0] * 5, gpt2_like(), 8)
    with pytest.raises(ValueError, match=r"no room for their context within max_length 8, rows 1, 4 "):
        answer_examples([CONTEXT, "a", "a", CONTEXT], [CONTEXT] * 4, [[(0, "the")]] * 4, bert_like(), 8)
