from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import SequencesPart
from causalkd.runs.trained_run import TrainedRun
from causalkd.runs.verify import _Watch, references, verified
from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.measures.pair_numbers import PairNumbers
from causalkd.verification.measures.scores import COLUMNS, Measurement, Score
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.permutation import benjamini_hochberg
from tests.executed import blocks_named
from tests.shrunk import FinishedRun


def _names(name):
    return references(Recipe.load(name).students)


def test_a_student_that_intervenes_is_compared_with_every_one_that_does_not():
    assert _names("sst2-minilm") == {"kd": (), "kd-steps": ("kd",), "diito": ("kd", "kd-steps")}
    assert _names("quickstart-lm") == {"kd": (), "atkd": ("kd",), "diito": ("kd", "atkd")}
    assert _names("quickstart") == {"kd": (), "diito": ("kd",)}


def test_every_intervention_of_a_run_is_run_once(quickstart: FinishedRun) -> None:
    """Block-forwards of a verification: a teacher of 4 blocks, two students of 2, one seed, one declared pair."""
    run, stored = TrainedRun.load(quickstart.folder.path), VerificationReport.read(quickstart.folder.report)
    kept = {"metric_for_best_model": "accuracy", "sequences": SequencesPart(generator="mixed")}
    training = run.recipe.training.model_copy(update=kept)
    run = replace(run, recipe=run.recipe.model_copy(update={"training": training}))
    with blocks_named("BertLayer") as rows:
        report = verified(run)
    written = tuple(replace(each, generator="mixed") for each in stored.students)
    assert report == replace(stored, students=written)  # and not chosen: by their costs, the last weights were kept
    assert stored.environment.pair_selection == "uniform"
    interventions = 3 + 2 + 1 + 0
    ceiling = 4 + 2 + 2  # base, the source up to the declared layer 1, and the blocks after it
    of_teacher = 4 + 4 + 2 * interventions + ceiling  # each side also with another row's source, for the causal model
    of_student = 2 + 2 + 3 * 1  # the exchange of layer 0, another row's source, a move elsewhere
    of_twin = 2 + 2 + 1  # one for both students
    pairs, heldout = run.recipe.verification.pairs, len(run.data.heldout.examples)
    plain = 2 * 4 + 2 * 2  # the teacher's metric and choices, the students'
    made = 2  # a model measures its hook points on one row when it is made, here the untrained student
    assert sum(rows) == pairs * (of_teacher + 2 * of_student + of_twin) + heldout * plain + made


def _measured(*components):
    """A table of one layer for each component; of 12 pairs as many as given are right, against 2 of a constant."""

    def score(pair, component, right, baseline):
        comparison = Comparison(pair, component, "pos", None, 1, 0, "aligned", *[Intervention((), pair)] * 2)
        matches, whole = (PairNumbers.of(1 * (np.arange(12) < count)) for count in (right, 12))
        return Score(comparison, baseline, True, dict(zip(COLUMNS, (matches, whole) * 2, strict=False)), None)

    return Measurement(
        tuple(
            score(pair, component, *each)
            for pair, component, right in components
            for each in ((right, "measured"), (2, "majority_class"))
        )
    )


def test_tests_are_adjusted_for_the_sites_of_all_components_and_a_pair_that_is_in_several_counts_once():
    declared = ("declared", "block_output", 8)
    counters = {
        "block_output": [SimpleNamespace(measurement=lambda: _measured(declared))],
        "mlp_output": [SimpleNamespace(measurement=lambda: _measured(declared, ("grid:a", "mlp_output", 7)))],
        "attention_output": [
            SimpleNamespace(measurement=lambda: _measured(("grid:a", "attention_output", 2), declared))
        ],
    }
    students = Recipe.load("quickstart").students[:1]
    run = SimpleNamespace(students=[(students[0], 0, None)], recipe=SimpleNamespace(students=students))
    accuracies, compared = _Watch.interchange(SimpleNamespace(run=run, counters=counters))
    assert {row.measure for row in compared} == {"iia", "iia_effective"}
    for rows in (accuracies, compared):
        assert rows
        for measure in {getattr(row, "measure", None) for row in rows}:
            tests = [r for r in rows if r.p_value is not None and getattr(r, "measure", None) == measure]
            assert len(tests) == 3 and len({row.p_value for row in tests}) == 3
            assert [row.q_value for row in tests] == benjamini_hochberg([row.p_value for row in tests])
