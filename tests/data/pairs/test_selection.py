import pytest
import torch

from causalkd.data.pairs.collator import evaluation_pairs
from causalkd.data.pairs.selection import (
    both,
    choose_pairs,
    other_label,
    other_variable,
    same_length,
    same_segments,
)
from causalkd.data.synthetic.nli import PlantedNLI
from tests.held_out import examples

ROWS = examples("classification", 30)
PLANTED = PlantedNLI().examples("heldout", 40, 0)


def _numbers(pairs):
    return list(zip(*(side.tolist() for side in pairs), strict=True))


def test_without_a_wish_they_are_the_evaluation_pairs():
    found = choose_pairs(ROWS, 200, 3, lambda base, source: base != source)
    assert _numbers(found) == _numbers(evaluation_pairs(ROWS, 200, 3))


@pytest.mark.parametrize(
    ("fits", "holds"),
    [
        (same_length(ROWS), lambda b, s: len(ROWS[b]["input_ids"]) == len(ROWS[s]["input_ids"])),
        (other_label(ROWS), lambda b, s: ROWS[b]["label"] != ROWS[s]["label"]),
        (both(torch.arange(30) % 3 > 0), lambda b, s: b % 3 > 0 and s % 3 > 0),
    ],
)
def test_every_pair_is_of_the_kind_and_none_is_left_out(fits, holds):
    every = [pair for pair in _numbers(evaluation_pairs(ROWS, 30 * 29, 0)) if holds(*pair)]
    found = _numbers(choose_pairs(ROWS, len(every), 0, fits))
    assert len(set(found)) == len(found) and set(found) == set(every)
    with pytest.raises(ValueError, match=f"of the 870 pairs of 30 examples only {len(every)} are of the chosen kind"):
        choose_pairs(ROWS, len(every) + 1, 0, fits)


@pytest.mark.seconds
def test_however_few_pairs_fit_only_some_are_drawn_at_a_time():
    rows, sizes = [{"input_ids": [1]}] * 3000, []

    def fits(base, source):
        sizes.append(len(base))
        return (base + source) % 1000 == 7

    base, source = choose_pairs(rows, 5000, 1, fits)
    every = evaluation_pairs(rows, sum(sizes), 1)
    kept = (every[0] + every[1]) % 1000 == 7
    assert torch.equal(base, every[0][kept][:5000]) and torch.equal(source, every[1][kept][:5000])
    assert len(sizes) > 10 and max(sizes) == 2**18
    with pytest.raises(ValueError, match=f"{10**6} pairs were asked for, but 30 examples make 870 pairs"):
        choose_pairs(ROWS, 10**6, 1, fits)


def test_segments_are_the_same_where_they_begin_and_end_alike():
    rows = [{"input_ids": [1, 2, 3], "segments": {"a": (0, stop)}} for stop in (1, 2, 1)]
    assert set(_numbers(choose_pairs(rows, 2, 0, same_segments(rows)))) == {(0, 2), (2, 0)}


def test_pairs_that_differ_in_a_planted_variable():
    task = PlantedNLI()
    fits = other_variable(PLANTED, lambda example: task.variables(dict(example))["noun_relation"])
    found = _numbers(choose_pairs(PLANTED, 100, 0, fits))
    assert len(set(found)) == 100
    for base, source in found:
        values = [task.variables(PLANTED[n])["noun_relation"] for n in (base, source)]
        assert values[0] != values[1]


def test_labels_of_tokens_are_refused():
    with pytest.raises(ValueError, match="one label each"):
        other_label(examples("token_classification", 4))
