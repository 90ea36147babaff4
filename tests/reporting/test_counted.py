import dataclasses
from typing import get_args

import pytest

from causalkd.data.pairs.position_policy import PairChoice
from causalkd.reporting.counted import how_pairs_are_chosen
from causalkd.reporting.explanation import explanation
from causalkd.reporting.headline import headline
from causalkd.reporting.run_comparison import compare
from causalkd.reporting.verdict import student_sentences
from causalkd.task_types import TASK_TYPES, TOKEN_TASKS
from causalkd.verification.results.report import VerificationReport
from tests.two_sites import two_sites


@pytest.mark.parametrize("task", TASK_TYPES)
def test_where_a_row_has_several_predictions_no_share_is_one_of_pairs(task: str) -> None:
    report = two_sites(lambda *_: 0.8)
    told = dataclasses.replace(report, teacher=dataclasses.replace(report.teacher, task=task))
    first, (_, counted), (own,) = headline(told), explanation(told), student_sentences(told)
    if task in TOKEN_TASKS:
        share = "of the predictions that the intervention changes in the teacher"
        assert "0.800 of effective predictions" in own and f"a share {share} (in 200 of" in counted
    else:
        share = "of the pairs on which the intervention changes the teacher's prediction"
        assert "0.800 of effective pairs" in own and f"a share {share} (200 of" in counted
    assert f"80.0% {share} (" in first
    assert ("A prediction is" in counted) == (task not in ("classification", "regression"))


def test_how_pairs_were_chosen_is_told_and_runs_that_differ_in_it_are_warned_of():
    unknown = two_sites(lambda *_: 0.8)

    def chosen(how):
        return dataclasses.replace(unknown, environment=dataclasses.replace(unknown.environment, pair_selection=how))

    told = {how: how_pairs_are_chosen(chosen(how)) for how in get_args(PairChoice)}
    assert len(set(told.values())) == len(told) and all("chosen by" not in each for each in told.values())
    assert " Held-out pairs are two rows that the teacher and every student" in explanation(chosen("both_right"))[1]
    assert how_pairs_are_chosen(chosen("other_variable: mood")).endswith("a variable of the causal model (mood).")
    assert how_pairs_are_chosen(unknown) == "" and "pair_selection" not in unknown.to_json()
    assert VerificationReport.from_json(chosen("uniform").to_json()) == chosen("uniform")
    differing = compare({"a": chosen("both_right"), "b": unknown})
    assert "The runs differ in their selections of pairs: a has both_right; b has unknown." in differing
    assert "selections" not in compare({"a": unknown, "b": unknown})
