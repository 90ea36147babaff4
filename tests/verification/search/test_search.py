import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.students import untrained_copy
from causalkd.reporting.search_table import search_table
from causalkd.verification.search.cka import linear_cka
from causalkd.verification.search.search import Search, search
from tests.held_out import examples, hybrid, pairs_of
from tests.rotated import llama_student, rotated_teacher
from tests.tiny import PAD

POLICY = PositionPolicy(policy="consecutive", fraction=0.5)
BLOCKS = (None, 0, 1, None, 2, None)
RIGHT = {0: {1}, 1: {2, 3}, 2: {4, 5}}
"""The teacher layers whose rotated output each student layer is."""


def _pairs(seed, n=200, name="span"):
    rows = examples("classification", 80, seed)
    return pair_batches(rows, evaluation_pairs(rows, n, seed), {name: POLICY}, 100, PAD)


@pytest.fixture(scope="module")
def models():
    student = llama_student()
    return rotated_teacher(student, BLOCKS), student


@pytest.fixture(scope="module")
def found(models) -> Search:
    return search(*models, POLICY, _pairs(0), _pairs(1))


def test_the_teacher_is_the_student_in_other_axes(models):
    inputs = _pairs(2)[0].inputs
    with torch.no_grad():
        teacher, student = (model.run(inputs, [model.hook_point("block_output", 0)]) for model in models)
    torch.testing.assert_close(teacher.logits, student.logits, rtol=1e-4, atol=1e-4)
    first, second = (next(iter(run.activations.values())) for run in (teacher, student))
    assert not first.allclose(second, atol=0.1)


def test_every_layer_is_found_up_to_blocks_that_do_nothing(found):
    assert {p.student_layer: set(p.alike) for p in found.proposals} == RIGHT
    for proposal in found.proposals:
        assert proposal.teacher_layer in RIGHT[proposal.student_layer]
        assert proposal.heldout.iia_effective == 1.0 and proposal.heldout.effective_pairs >= 20
        assert proposal.similarity == pytest.approx(1, abs=1e-4) and proposal.supported


def test_the_alignment_is_one_that_resolves_and_reads_back(found, models):
    alignment = found.alignment()
    assert Alignment.from_yaml(alignment.to_yaml()) == alignment
    resolved = resolve(alignment, *models)
    assert [pair.name for pair in resolved.pairs] == ["layer_0", "layer_1", "layer_2"]
    assert alignment.positions == POLICY


def test_an_untrained_student_has_no_counterpart(models):
    teacher, student = models
    nothing = search(teacher, untrained_copy(student, 5), POLICY, _pairs(0), _pairs(1), seed=1)
    assert nothing.proposals and not any(proposal.supported for proposal in nothing.proposals)
    with pytest.raises(ValueError, match="none of 3 proposals exceeds its baselines"):
        nothing.alignment()


def test_positions_of_two_kinds_are_refused(models):
    with pytest.raises(ValueError, match=r"the positions of one policy; the batches have those of \['other', 'span'\]"):
        search(*models, POLICY, _pairs(0, 4), _pairs(1, 4, "other"))


def test_layers_that_lack_the_component_are_passed_over():
    models = hybrid("CAA", "teacher"), hybrid("CAA", "student", seed=1)
    batches = pairs_of(*models, n=8)[1]
    found = search(*models, POLICY, batches, batches, component="attention_output")
    similarity = linear_cka(*models, batches, "attention_output")
    assert {p.student_layer for p in found.proposals} <= {1, 2} and found.proposals
    for proposal in found.proposals:
        assert proposal.similarity == similarity[proposal.teacher_layer, proposal.student_layer]
    with pytest.raises(ValueError, match="has heads; use attention_value_output"):
        search(*models, POLICY, batches, batches, component="head_attention_value_output")


def test_the_table_has_a_line_a_student_layer(found):
    heads, _, *lines = search_table(found).splitlines()
    assert heads.split()[:4] == ["student", "teacher", "as", "well"] and len(lines) == 3
    assert all(line.split()[0] == str(layer) and line.endswith("yes") for layer, line in enumerate(lines))
