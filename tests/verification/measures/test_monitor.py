import pytest
import torch

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.monitor import LiveAccuracy
from tests.held_out import MIDDLE, pairs_of, teacher_and_student
from tests.tiny import tiny


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    return teacher, student, *pairs_of(teacher, student)


def test_it_is_the_effective_accuracy_of_the_report(setting):
    teacher, student, alignment, batches = setting
    live = LiveAccuracy(teacher, student, alignment, batches, every=10)
    assert live(9) == {}
    expected = measure(teacher, student, alignment, batches, baselines=()).score(1, 0).iia_effective
    assert live(10) == {"iia_effective/middle": pytest.approx(expected)}
    assert live(19) == {} and live(25) == {"iia_effective/middle": pytest.approx(expected)}


def test_it_follows_the_student_and_leaves_it_and_the_random_state_as_they_were(setting):
    teacher, _, _, _ = setting
    student = HookedModel(tiny("bert", "classification"), task="classification", role="student")  # a copy
    own = MIDDLE.replace("student: [{layer: 0}]", "student: [{layer: 1}]")
    live = LiveAccuracy(teacher, student, *pairs_of(teacher, student, own), every=1)
    before, state = live(1), torch.get_rng_state()
    student.model.train()
    with torch.no_grad():
        student.model.classifier.weight.neg_()
    after = live(2)
    assert before == {"iia_effective/middle": 1.0} != after and torch.equal(torch.get_rng_state(), state)
    assert student.training and not any(block._forward_hooks for block in student.blocks)
    with torch.no_grad():
        student.model.classifier.weight.neg_()
    assert live(3) == before
