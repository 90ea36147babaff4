from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.measures.pair_numbers import PairNumbers
from causalkd.verification.measures.scores import Measurement, Score, differences, paired_difference


@cache
def _cell(t, s, aligned):
    pair, kind = ("m", "aligned") if aligned else ("grid:m", "other")
    return Comparison(pair, "block_output", "pos", None, t, s, kind, Intervention((), "m"), Intervention((), "m"))


def _score(
    matches, effective, t=1, s=0, baseline="measured", aligned=True, reachable=True, counts=None, divergence=None
):
    comparison = _cell(t, s, aligned)
    matches, effective = np.array(matches, float), np.array(effective, float)
    counts = np.ones_like(matches) if counts is None else np.array(counts, float)
    numbers = {
        "matches": matches,
        "counts": counts,
        "effective_matches": matches * (effective > 0),
        "effective_counts": effective,
    }
    kept = {column: PairNumbers.of(values) for column, values in numbers.items()}
    return Score(comparison, baseline, reachable, kept, None if divergence is None else float(sum(divergence)))


def _with_still(score, still):
    return replace(score, kept={**score.kept, "still": PairNumbers.of(np.array(still))})


def test_numbers_of_a_score_worked_out_by_hand():
    # Six pairs: four right; the teacher's intervention changed three, of which two are right.
    score = _score([1, 1, 0, 1, 0, 1], [1, 1, 1, 0, 0, 0], divergence=[0, 0, 3, 0, 3, 0])
    assert (score.iia, score.iia_effective) == (4 / 6, 2 / 3)
    assert (score.effective_pairs, score.kl) == (3, 1.0)


def test_tokens_weigh_alike_whatever_pair_they_stand_in():
    # Two pairs of 1 and 3 predictions; 1 and 1 right.
    score = _score([1, 1], [0, 2], counts=[1, 3], divergence=[0, 2])
    assert (score.iia, score.iia_effective, score.effective_pairs, score.kl) == (0.5, 0.5, 1, 0.5)


def test_no_effective_pair_gives_no_accuracy():
    score = _score([1, 0], [0, 0])
    assert (score.iia_effective, score.effective_pairs, score.kl) == (None, 0, None)
    (row,) = Measurement((score,)).rows("s", 1)
    assert (row.iia_effective, row.iia_effective_low, row.iia_effective_high) == (None, None, None)
    assert (row.iia, row.pairs, row.effective_pairs, row.student, row.seed) == (0.5, 2, 0, "s", 1)


def test_rows_carry_their_intervals():
    measured = Measurement((_score([1, 0] * 50, [1] * 100), _score([1] * 100, [1] * 100, s=1)))
    half, whole = measured.rows("s", 0)
    assert half.iia_low < 0.5 < half.iia_high and half.iia_high - half.iia_low == pytest.approx(0.2, abs=0.03)
    assert whole.iia_effective_low == pytest.approx(0.963, abs=0.001) and whole.iia_effective_high == 1.0


def test_strictness_is_the_share_of_quiet_predictions_that_stay():
    score = _score([1, 1, 0, 0], [1, 0, 0, 0])  # the teacher's intervention changes the first
    assert score.specificity is None
    assert _with_still(score, [0, 1, 1, 0]).specificity == 2 / 3
    moved = _score([1, 1], [1, 1])
    assert _with_still(moved, [0, 0]).specificity is None


def test_a_score_is_found_by_what_it_alone_has_or_the_error_says_which_there_are():
    one, other = _score([1], [1]), _score([0], [1], aligned=False)
    heads = [replace(other, comparison=replace(other.comparison, head=1, student_head=own)) for own in (0, 3)]
    measured = Measurement((one, _score([0], [1], s=1, aligned=False), *heads))
    assert measured.score(1, 1).comparison.pair == "grid:m"
    assert measured.score(1, 0, pair="m").iia == 1 and measured.score(1, 0, student_head=3) is heads[1]
    with pytest.raises(ValueError, match=r"no scores at teacher layer 2.*\['measured'\].*\(1, 0, 'm', None, None\)"):
        measured.score(2, 0)
    with pytest.raises(ValueError, match=r"3 scores at .*: \[\(1, 0, 'm', None, None\), \(1, 0, 'grid:m', 1, 0\)"):
        measured.score(1, 0)
    with pytest.raises(ValueError, match="2 scores at teacher layer 1, student layer 0, pair 'grid:m', head 1"):
        measured.score(1, 0, pair="grid:m", head=1)


def test_paired_difference_by_hand():
    better, worse = _score([1, 1, 1, 0] * 25, [1, 1, 0, 0] * 25), _score([1, 0, 0, 1] * 25, [1, 1, 0, 0] * 25)
    effective = paired_difference(better, worse)
    assert (effective.pairs, effective.difference) == (50, 0.5)
    assert effective.low < 0.5 < effective.high
    assert effective.p_value < 0.001 < paired_difference(better, better).p_value == 1.0
    assert paired_difference(better, worse, "iia").difference == 0.25
    assert paired_difference(worse, better).difference == -0.5


def test_a_baseline_s_row_says_how_surely_the_measurement_differs_from_it():
    effective, half = [1] * 20, [1] * 10 + [0] * 10
    scores = (
        _score([1] * 20, effective),
        _score(half, effective, baseline="majority_class"),
        _score([1] * 20, effective, baseline="no_intervention"),
        _score([1] * 20, effective, t=2),
        _score([1] * 16 + [0] * 4, effective, t=2, baseline="majority_class"),
        _score([1] * 20, effective, t=3, reachable=False),
        _score(half, effective, t=3, baseline="majority_class", reachable=False),
        _score(half, [0] * 20, t=4),
        _score(half, [0] * 20, t=4, baseline="majority_class"),
    )
    p, q = zip(*((row.p_value, row.q_value) for row in Measurement(scores).rows("s", 0)), strict=True)
    # Ten pairs differ and all favour the measurement: two tails, of which the observed sum counts half.
    assert p == (None, pytest.approx(2**-10), 1.0, None, pytest.approx(2**-4), None, None, None, None)
    assert q == (None, pytest.approx(2 * 2**-10), 1.0, None, pytest.approx(2**-4), None, None, None, None)


def test_only_the_same_pairs_can_be_compared():
    with pytest.raises(ValueError, match="same pairs and the same teacher site"):
        paired_difference(_score([1, 1], [1, 0]), _score([1, 1], [0, 1]))
    with pytest.raises(ValueError, match="got 2 pairs with 1 counted predictions and 3 with 1"):
        paired_difference(_score([1, 1], [1, 0]), _score([1, 1, 1], [1, 0, 0]))
    with pytest.raises(ValueError, match="no pair is counted"):
        paired_difference(_score([1, 1], [0, 0]), _score([1, 1], [0, 0]))


def test_a_student_whose_intervention_has_no_effect_is_no_reference():
    """Tables hold no accuracy of it, so that a difference from it would be from a number that nobody sees."""
    effective, alive = [1, 1, 0], Measurement((_score([1, 1, 1], [1, 1, 0]),))
    dead = Measurement((_score([1, 0, 1], effective, reachable=False),))
    assert differences({("kd", 0): dead, ("diito", 0): alive}, {"kd": (), "diito": ("kd",)}) == ()
    assert differences({("kd", 0): alive, ("diito", 0): dead}, {"kd": (), "diito": ("kd",)}) == ()
    assert differences({("kd", 0): alive, ("diito", 0): alive}, {"kd": (), "diito": ("kd",)})


def test_differences_compare_aligned_sites_with_the_reference_and_with_the_own_baselines():
    effective = [1, 1, 1, 0]

    def measured(matches, guess):
        return Measurement(
            (
                _score(matches, effective),
                _score(guess, effective, baseline="majority_class"),
                _score(matches, effective, s=1, aligned=False),
                _score(matches, effective, t=2, reachable=False),
            )
        )

    found = differences(
        {("kd", 0): measured([1, 0, 0, 1], [1, 0, 0, 0]), ("diito", 0): measured([1, 1, 1, 1], [1, 0, 0, 0])},
        {"kd": (), "diito": ("kd", "not measured")},
    )
    named = {(row.student, row.reference, row.baseline, row.measure): row.difference for row in found}
    assert named == {
        ("kd", "kd", "majority_class", "iia"): 0.25,
        ("kd", "kd", "majority_class", "iia_effective"): 0.0,
        ("diito", "kd", "measured", "iia"): 0.5,
        ("diito", "kd", "measured", "iia_effective"): pytest.approx(2 / 3),
        ("diito", "diito", "majority_class", "iia"): 0.75,
        ("diito", "diito", "majority_class", "iia_effective"): pytest.approx(2 / 3),
    }
