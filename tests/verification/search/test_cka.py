import pytest
import torch

from causalkd.verification.search.cka import linear_cka
from tests.held_out import hybrid, pairs_of, teacher_and_student
from tests.rotated import llama_student, rotated_teacher


def test_agrees_with_the_centred_gram_matrices():
    teacher, student = teacher_and_student()
    batches = pairs_of(teacher, student, n=20, batch_size=8)[1]
    found = linear_cka(teacher, student, batches)
    assert found.shape == (3, 2)
    grams = []
    with torch.no_grad():
        for model, layer in ((teacher, 2), (student, 1)):
            place = model.hook_point("block_output", layer)
            x = torch.cat([model.run(b.inputs, [place]).activations[place][b.counted] for b in batches]).double()
            centring = torch.eye(len(x)) - 1 / len(x)
            grams.append(centring.double() @ (x @ x.T) @ centring.double())
    first, second = grams
    expected = (first * second).sum() / (first.norm() * second.norm())
    assert found[2, 1].item() == pytest.approx(expected.item(), abs=1e-6)


def test_is_one_for_the_same_in_other_axes_and_for_a_model_with_itself():
    student = llama_student(2)
    batches = pairs_of(student, student, n=20)[1]
    found = linear_cka(rotated_teacher(student, (0, None, 1)), student, batches)
    assert found[[0, 1, 2], [0, 0, 1]].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert found[0, 1] < 0.999 and (found > 0).all() and (found <= 1 + 1e-9).all()


def test_a_component_that_no_layer_has_and_no_batches_are_refused():
    teacher, student = teacher_and_student()
    batches = pairs_of(teacher, student, n=4)[1]
    with pytest.raises(ValueError, match=r"has no block_outptu in any layer; it has .*block_output"):
        linear_cka(teacher, student, batches, "block_outptu")
    with pytest.raises(ValueError, match="linear CKA was given no batches of pairs"):
        linear_cka(teacher, student, [])


def test_a_layer_without_the_component_keeps_its_place():
    teacher, student = hybrid("ACA", "teacher"), hybrid("CA", "student", seed=1)
    batches = pairs_of(teacher, student, n=4)[1]
    found = linear_cka(teacher, student, batches, "attention_output")
    assert (~found.isnan()).nonzero().tolist() == [[0, 1], [2, 1]]
    assert found[2, 1] != found[0, 1]
