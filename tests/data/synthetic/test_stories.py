"""The planted stories: their answers, their counterfactuals, their splits, their chances and their tokenizer."""

from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from causalkd.data.synthetic.stories import (
    GROUPS,
    LENGTH,
    PERSONS,
    PLACES,
    SEGMENTS,
    TIMES,
    VARIABLES,
    VOCABULARY,
    PlantedLM,
)

TASK = PlantedLM()
TOKENS = list(VOCABULARY)


@pytest.fixture(scope="module")
def train():
    return TASK.examples("train", 4000, seed=0)


@pytest.fixture(scope="module")
def heldout():
    return TASK.examples("heldout", 1000, seed=0)


def read(text):
    """Who is where, and who is asked for in turn, by reading the words: the oracle."""
    words = text.split()
    half = len(words) // 2
    return dict(zip(words[1:half:4], words[2:half:4], strict=True)), words[half + 1 :: 4]


def told(example, **words):
    """The text of an example after some segments were given other words."""
    tokens = [TOKENS[i] for i in example["input_ids"]]
    for name, word in words.items():
        tokens[SEGMENTS[name][0]] = word
    return " ".join(tokens[1:-1])


def answers_of(example):
    return [example["input_ids"][example["segments"][f"answer_{n}"][0]] for n in range(1, 5)]


def words_of(ids):
    return [TOKENS[i] for i in ids]


def test_the_answers_are_where_the_story_says_the_persons_went(train, heldout):
    for row in train[:500] + heldout[:500]:
        where, asked = read(row["text"])
        assert [where[person] for person in asked] == words_of(answers_of(row)) == row["text"].split()[18::4]
        assert set(where) == set(asked) == set(PERSONS) and set(where.values()) <= set(PLACES)
        assert row["label"] == [-100, *row["input_ids"][1:]] and len(row["input_ids"]) == LENGTH == 34


def test_counterfactuals_equal_the_story_told_again(train):
    for base, source in zip(train[:200], train[200:400], strict=True):
        given, (where, asked) = TASK.variables(source), read(base["text"])
        for n in range(1, 5):
            changed, _ = read(told(base, **{f"place_{n}": PLACES[given[f"place_{n}"]]}))
            found = TASK.counterfactual_answers(base, source, f"place_{n}")
            assert words_of(found) == [changed[person] for person in asked]
            (one,) = {TASK.counterfactual_answers(base, source, f"located_{n}")[n - 1], answers_of(source)[n - 1]}
            assert one == answers_of(source)[n - 1]
        told_by_source, asked_in_source = read(source["text"])
        found = TASK.counterfactual_answers(base, source, "facts")
        assert words_of(found) == [told_by_source[person] for person in asked]
        found = TASK.counterfactual_answers(base, source, "questions")
        assert words_of(found) == [where[person] for person in asked_in_source]


def test_a_person_nobody_mentions_is_where_the_first_fact_says(train):
    base = next(row for row in train if TASK.variables(row)["mention_2"] == 2)
    source = next(row for row in train if TASK.variables(row)["person_3"] != TASK.variables(base)["person_3"])
    answer = TASK.counterfactual_answers(base, source, "person_3")[1]
    assert TOKENS[answer] == PLACES[TASK.variables(base)["place_1"]]


def test_counterfactuals_from_itself_are_the_answers(heldout):
    for row in heldout[:20]:
        for variable in (*VARIABLES, *GROUPS):
            assert TASK.counterfactual_answers(row, row, variable) == answers_of(row)


def test_an_unknown_variable_or_split_is_refused(heldout):
    with pytest.raises(ValueError, match=r"variable 'locate_1' is not in the causal model.*Did you mean 'located_1'\?"):
        TASK.counterfactual_answers(heldout[0], heldout[1], "locate_1")
    with pytest.raises(ValueError, match="split 'test' does not exist; the splits are 'train' and 'heldout'"):
        TASK.examples("test", 3, seed=0)


def test_same_seed_same_examples_and_another_seed_others():
    assert TASK.examples("train", 20, seed=3) == TASK.examples("train", 20, seed=3)
    assert TASK.examples("train", 20, seed=3) != TASK.examples("train", 20, seed=4)


def test_no_story_is_in_both_splits(train, heldout):
    sums = [
        {sum(PLACES.index(place) for place in read(row["text"])[0].values()) % 4 for row in rows}
        for rows in (train, heldout)
    ]
    assert sums == [{1, 2, 3}, {0}]
    for rows in (train, heldout):  # whoever and wherever: nothing but the sum tells the splits apart
        assert {pair for row in rows for pair in read(row["text"])[0].items()} == {
            (a, b) for a in PERSONS for b in PLACES
        }
        last = Counter(TASK.variables(row)["place_4"] for row in rows)
        assert all(abs(last[place] / len(rows) - 1 / 12) < 0.035 for place in range(12))


def test_what_is_chance_is_spread_as_it_says(train):
    """Persons are any order, times follow their shares, every person is asked for equally often."""
    ids = np.array([row["input_ids"] for row in train])
    for segment in ("person_1", "person_4", "asked_1", "asked_4"):
        counts = Counter(ids[:, SEGMENTS[segment][0]].tolist())
        assert all(abs(counts[VOCABULARY[person]] / len(train) - 1 / 4) < 0.03 for person in PERSONS)
    times = Counter(ids[:, SEGMENTS["person_2"][0] - 1].tolist())
    assert all(abs(times[VOCABULARY[word]] / len(train) - share) < 0.03 for word, share in TIMES.items())
    asked = Counter(TASK.variables(row)["mention_3"] for row in train)
    assert all(abs(asked[fact] / len(train) - 1 / 4) < 0.03 for fact in range(4))


def test_guessing_a_place_of_the_asked_person_is_seldom_right(heldout):
    """Whoever does not read the story is right once in twelve times."""
    chosen = Counter(pair for row in heldout for pair in zip(read(row["text"])[1], answers_of(row), strict=True))
    best = {person: max(n for (who, _), n in chosen.items() if who == person) for person in PERSONS}
    assert sum(best.values()) / chosen.total() < 0.13


def test_segments_point_at_their_words(heldout):
    row = heldout[0]
    words = {name: [TOKENS[i] for i in row["input_ids"][slice(*span)]] for name, span in row["segments"].items()}
    text = row["text"].split()
    assert words["facts"] == text[:16] and words["questions"] == text[16:]
    assert words["fact_2"] == text[4:8] and words["fact_2"][1] == words["person_2"][0]
    assert words["place_2"] == [text[6]] and words["asked_1"] == [text[17]] and words["answer_4"] == [text[30]]
    assert row["segments"] is not heldout[1]["segments"]


def test_a_saved_folder_is_stock(tmp_path, heldout):
    """`AutoTokenizer` finds the same tokenizer beside a GPT-2 checkpoint, and it encodes as the task does."""
    GPT2LMHeadModel(GPT2Config(vocab_size=len(VOCABULARY), n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    TASK.tokenizer().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for row in heldout[:20]:
        assert loaded(row["text"])["input_ids"] == row["input_ids"]
    assert (loaded.pad_token_id, loaded.bos_token, loaded.eos_token) == (0, "[BOS]", "[EOS]")
