import pytest
import torch

from causalkd.verification.interventions.counterfactuals import Counterfactual, ModelPass, Reach
from causalkd.verification.interventions.plan import plan
from tests.held_out import pairs_of, teacher_and_student


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    alignment, batches = pairs_of(teacher, student)
    interventions = dict.fromkeys(
        comparison.teacher for comparison in plan(teacher, student, alignment, "block_output")
    )
    return teacher, tuple(interventions), batches


def test_permuting_two_equal_rows_changes_nothing(setting):
    teacher, interventions, batches = setting
    batch = batches[0]
    twice = torch.zeros(2, dtype=torch.long)
    inputs, source = ({k: v[twice] for k, v in part.items()} for part in (batch.inputs, batch.source))
    doubled = type(batch)(inputs, source=source, positions={"middle": batch.positions["middle"].rows(twice)})
    passes = ModelPass.of(teacher, interventions, doubled)
    own, permuted = (
        passes.counterfactual(interventions[1]).predictions,
        passes.permuted(interventions[1], passes.source_readings),
    )
    assert permuted.choice.equal(own.choice)
    # Equal rows of a batch can differ in their last bits, where threads share its rows.
    torch.testing.assert_close(permuted.log_probabilities, own.log_probabilities)


def test_an_intervention_is_unreachable_only_if_activations_changed_and_no_logit_did(setting):
    teacher, interventions, batches = setting
    base = ModelPass.of(teacher, interventions, batches[0])
    found, hidden = base.plain, base.base.hidden
    reach = Reach()
    answers = {0: (True, True), 1: (False, True), 2: (False, False)}
    for index, (moved, differed) in answers.items():
        reach.update(interventions[index], Counterfactual(found, hidden, moved, differed))
    assert [intervention in reach for intervention in interventions] == [True, False, True]
    reach.update(interventions[1], Counterfactual(found, hidden, True, True))  # one batch that moves is enough
    assert interventions[1] in reach
