import pytest
import torch

from causalkd.verification.cells import plan
from causalkd.verification.exchanges import Answer, Exchanges, Reach
from tests.held_out import pairs_of, teacher_and_student


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    alignment, batches = pairs_of(teacher, student)
    sides = dict.fromkeys(cell.teacher for cell in plan(teacher, student, alignment, "block_output", None))
    return teacher, tuple(sides), batches


def test_permuting_two_equal_rows_changes_nothing(setting):
    teacher, sides, batches = setting
    batch = batches[0]
    twice = torch.zeros(2, dtype=torch.long)
    inputs, source = ({k: v[twice] for k, v in part.items()} for part in (batch.inputs, batch.source))
    doubled = type(batch)(inputs, source=source, positions={"middle": batch.positions["middle"].rows(twice)})
    exchanges = Exchanges.of(teacher, sides, doubled)
    own, permuted = exchanges.counterfactual(sides[1]).predictions, exchanges.permuted(sides[1], exchanges.donors)
    assert permuted.log_probabilities.equal(own.log_probabilities)


def test_a_side_is_out_of_reach_only_if_activations_changed_and_no_logit_did(setting):
    teacher, sides, batches = setting
    base = Exchanges.of(teacher, sides, batches[0])
    found, hidden = base.plain, base.base.hidden
    reach = Reach()
    answers = {0: (True, True), 1: (False, True), 2: (False, False)}
    for index, (moved, differed) in answers.items():
        reach.note(sides[index], Answer(found, hidden, moved, differed))
    assert [side in reach for side in sides] == [True, False, True]
    reach.note(sides[1], Answer(found, hidden, True, True))  # one batch that moves is enough
    assert sides[1] in reach
