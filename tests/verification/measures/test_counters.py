import gc
import tracemalloc

import pytest

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.merged import merged
from causalkd.processes.processes import Processes
from causalkd.verification.interventions.passes import ObservedModel, run_passes
from causalkd.verification.interventions.plan import plan
from causalkd.verification.interventions.predictions import Predictions
from causalkd.verification.measures.counters import (
    MatchCounter,
    MeasurementPlan,
    TeacherCounterfactuals,
    UntrainedCounter,
)
from causalkd.verification.measures.iia import measure
from causalkd.verification.results.baselines import BASELINES, Baseline
from tests.drawn_predictions import Drawn, comparisons
from tests.held_out import pairs_of, teacher_and_student
from tests.oracles.pair_tallies import ByPair, UntrainedByPair
from tests.tiny import tiny


def test_a_copy_matches_every_counterfactual_batch_by_batch():
    teacher, _ = teacher_and_student()
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(teacher, copy, n=10, batch_size=4)
    comparisons = plan(teacher, copy, alignment, "block_output")
    asked = MeasurementPlan(comparisons, ("majority_class", "norm_matched_random"))
    truth = TeacherCounterfactuals([asked])
    table = MatchCounter(truth, asked, seed=0)
    for batch in batches:
        run_passes([ObservedModel(teacher, truth), ObservedModel(copy, table)], [batch])
        assert truth.rows == len(batch.counted) and truth.ceiling == {}
    found = table.measurement()
    assert {len(score.matches) for score in found.scores} == {10}
    for layer in range(teacher.n_layers):
        assert found.score(layer, layer).matches.all()
        assert (
            found.score(layer, layer).effective_matches.tolist() == found.score(layer, layer).effective_counts.tolist()
        )
    assert not found.score(0, 0, "norm_matched_random").matches.all()
    assert {score.baseline for score in found.scores} == {"measured", "majority_class", "norm_matched_random"}


@pytest.mark.parametrize("given", [None, "a prediction", 3])
def test_what_a_registered_baseline_predicts_is_looked_at(given, monkeypatch):
    teacher, student = teacher_and_student()
    alignment, batches = pairs_of(teacher, student, n=6, batch_size=3)

    def predict(found, seed):
        return Predictions(*(part[:2] for part in vars(found.plain).values())) if given == 3 else given

    monkeypatch.setitem(BASELINES, "own", Baseline("own", "own", "of mine", predict=predict))
    said = "gave 2 predictions" if given == 3 else f"gave {given!r}"
    with pytest.raises(ValueError, match=f"the `predict` of baseline 'own' {said}; it must give the 3 Predictions"):
        measure(teacher, student, alignment, batches, baselines=("own",))


ALL = tuple(BASELINES)


def _observers(sites, baselines=ALL):
    asked = MeasurementPlan(comparisons(sites), baselines)
    truth = TeacherCounterfactuals([asked])
    return truth, MatchCounter(truth, asked, seed=0), ByPair(truth, asked, seed=0)


def _scores(drawn, sites, shares=1):
    """The measurement of so many processes, and the oracle's arrays of one."""
    truth, table, oracle = _observers(sites)
    drawn.pass_over([truth], [oracle], [UntrainedByPair(oracle)], range(len(drawn.sizes)))
    parts = []
    for rank in range(shares):
        one, own, _ = _observers(sites)
        share = Processes(shares, rank).share(len(drawn.sizes))
        drawn.pass_over([one], [own], [UntrainedCounter([own])], share)
        parts.append((one.noted, own.noted))
    truth.noted, table.noted = merged(parts)
    return table.measurement(), oracle.arrays()


SETTINGS = [
    ("classes", [7, 16, 3], {}),
    ("classes", [1], {}),
    ("classes", [5, 5], {"effect": 0.0}),  # the teacher's predictions never change
    ("tokens", [8, 8, 2], {}),
    ("tokens", [1], {}),
    ("tokens", [4, 9], {"choices": 300}),
    ("number", [8, 8, 2], {}),
    ("sets", [8, 8, 2], {}),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("head", "sizes", "given"), SETTINGS)
def test_what_is_kept_in_bits_is_what_arrays_hold(head, sizes, given, seed):
    drawn = Drawn(head, sizes, seed, **given)
    measured, arrays = _scores(drawn, sites=2)
    assert [(score.comparison, score.baseline) for score in measured.scores] == list(arrays)
    for score, expected in zip(measured.scores, arrays.values(), strict=True):
        for name in ("matches", "counts", "effective_matches", "effective_counts"):
            assert getattr(score, name).tolist() == expected[name].tolist()
        assert ("still" in score.kept) == ("still" in expected) == (score.baseline == "measured")
        if "divergence" in expected:
            assert score.kl == pytest.approx(expected["divergence"].sum() / expected["counts"].sum(), rel=1e-12)
        else:
            assert score.kl is None
        quiet = expected["counts"].sum() - expected["effective_counts"].sum()
        if "still" in expected and quiet:
            assert score.specificity == expected["still"].sum() / quiet


@pytest.mark.parametrize("head", ["classes", "tokens", "number"])
def test_any_number_of_processes_gives_the_same_rows_bit_for_bit(head):
    drawn = Drawn(head, [5, 8, 3, 8, 1, 7])
    alone = _scores(drawn, sites=3)[0].rows("s", 0)
    for processes in (2, 4, 7):  # of seven one has no batch
        assert _scores(drawn, sites=3, shares=processes)[0].rows("s", 0) == alone


def test_a_divergence_that_is_no_number_stays_none():
    drawn = Drawn("number", [4, 4])
    truth, table, _ = _observers(1, ("no_intervention",))
    drawn.pass_over([truth], [table], [], [0, 1])
    (key, *_) = table.noted.nats
    for value in (float("nan"), float("inf")):
        table.noted.nats[key] = value
        drawn.pass_over([truth], [table], [], [0])
        assert str(table.measurement().scores[0].kl) == str(value)


def _kept(pairs, baselines=ALL, head="classes", sites=12):
    """The bytes that are alive after so many pairs in batches of 1000, at twelve sites of classifiers."""
    drawn, (truth, table, _) = Drawn(head, [1000] * (pairs // 1000)), _observers(sites, baselines)
    gc.collect()
    tracemalloc.start()
    drawn.pass_over([truth], [table], [UntrainedCounter([table])], range(len(drawn.sizes)))
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return kept


def test_a_pair_keeps_few_bytes_at_twelve_sites_with_all_baselines():
    few, many = _kept(1000), _kept(10_000)
    # 8 scores of 2 bits and one bit a site, with the teacher's 13 bits and its 13 choices of 2 bits: 32 bytes.
    # Its rows are 8 more.
    assert 38 < (many - few) / 9000 < 44
