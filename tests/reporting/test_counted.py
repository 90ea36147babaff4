import dataclasses

import pytest

from causalkd.reporting.explanation import explanation
from causalkd.reporting.headline import headline
from causalkd.reporting.verdict import student_sentences
from causalkd.task_types import TASK_TYPES, TOKEN_TASKS
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
