"""Reports from models to the first sentence: a copy of the teacher, and a student that has learnt nothing."""

import dataclasses

import pytest

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.reporting.standing import standing
from causalkd.reporting.verdict import verdict
from causalkd.verification.measures.iia import measure
from causalkd.verification.results.report import StudentResult
from tests.example_report import example_report
from tests.held_out import MIDDLE, pairs_of, teacher_and_student
from tests.tiny import tiny

LONG = MIDDLE.replace("fraction: 0.5", "fraction: 0.9")


def _report(student: HookedModel):
    """The report on a student that claims to be aligned with the teacher at its first two layers."""
    teacher, _ = teacher_and_student()
    alignment, batches = pairs_of(teacher, student, LONG, n=600, batch_size=200)
    rows = measure(teacher, student, alignment, batches, seed=11).rows("student", 0)
    result = StudentResult("student", {"diito": 1.0}, 0, None, None)
    return dataclasses.replace(example_report(), students=(result,), interchange=rows, differences=())


@pytest.fixture(scope="module")
def copy_of_the_teacher():
    return _report(HookedModel(tiny("bert", "classification"), task="classification", role="student"))


@pytest.mark.seconds
def test_a_copy_of_the_teacher_scores_one_and_is_above_its_baselines(copy_of_the_teacher):
    own = [
        r for r in copy_of_the_teacher.interchange if r.baseline == "measured" and r.teacher_layer == r.student_layer
    ]
    assert len(own) == 3 and all(row.iia == 1.0 for row in own)
    assert verdict(copy_of_the_teacher)[0].startswith("At the aligned site, student predicts")
    assert "above its best baseline" in verdict(copy_of_the_teacher)[0]
    assert standing(copy_of_the_teacher, "student", "other").above


@pytest.mark.seconds
@pytest.mark.parametrize("seed", [1, 2])
def test_a_student_that_has_learnt_nothing_is_no_evidence(seed):
    student = untrained_copy(teacher_and_student()[1], seed)
    report = _report(student)
    assert verdict(report)[0].startswith(
        "Nothing shows that the student computes as the teacher does at the aligned site;"
    )
    trained = {row.baseline: row for row in report.interchange if row.aligned}
    assert trained["measured"].iia_effective <= trained["majority_class"].iia_effective + 0.1
