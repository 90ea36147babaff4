from dataclasses import replace

import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.students import untrained_copy
from causalkd.reporting.search_table import search_table
from causalkd.verification.search.das import Fit
from causalkd.verification.search.search import Search, search
from causalkd.verification.search.subspace_search import check_rank, learn_subspaces
from tests.handmade import PAD, examples, handmade
from tests.held_out import teacher_and_student

POLICY = PositionPolicy(policy="segments", segments=("bit",))
QUICK = Fit(epochs=8)


def _pairs(seed, n):
    return pair_batches(examples(), evaluation_pairs(examples(), n, seed), {"bit": POLICY}, 50, PAD)


@pytest.fixture(scope="module")
def setting():
    """The bit's position holds `equal` and the bit after block 1: two directions carry all that is read there."""
    models = handmade(apart=True), handmade("student", apart=True)
    pairs, heldout = _pairs(0, 200), _pairs(1, 200)
    return models, search(*models, POLICY, pairs, heldout), pairs, heldout


@pytest.fixture(scope="module")
def narrowed(setting) -> Search:
    models, found, pairs, heldout = setting
    return learn_subspaces(*models, found, pairs, heldout, rank=2, fit=QUICK)


def test_the_directions_that_matter_do_what_the_whole_layer_does(setting, narrowed):
    by_layer = {proposal.student_layer: proposal for proposal in narrowed.proposals}
    assert list(by_layer) == [proposal.student_layer for proposal in setting[1].proposals]
    found = by_layer[1]
    assert found.subspace is not None and found.subspace.basis.shape == (setting[0][1].width, 2)
    assert found.heldout.iia_effective is not None and found.heldout.iia_effective >= 0.95
    assert found.subspace.heldout == pytest.approx(found.heldout.iia) and found.subspace.arbitrary <= 0.7
    assert found.supported and found.teacher_layer in found.alike
    assert {row.baseline for row in found.baselines} >= {"permuted_source", "untrained_student", "norm_matched_random"}


def test_the_alignment_intervenes_on_those_directions_alone(setting, narrowed):
    alignment = narrowed.alignment()
    assert Alignment.from_yaml(alignment.to_yaml()) == alignment
    for pair, proposal in zip(alignment.pairs, (p for p in narrowed.proposals if p.supported), strict=True):
        assert pair.teacher[0].basis is None and pair.student[0].basis is not None
        assert proposal.subspace is not None
        assert pair.student[0].basis.columns().tolist() == proposal.subspace.basis.tolist()
    resolved = resolve(alignment, *setting[0])
    assert all(pair.student[0].count == 2 for pair in resolved.pairs)
    head, _, *lines = search_table(narrowed).splitlines()
    assert head.endswith("directions  arbitrary") and all(" 2 " in line for line in lines)


def test_an_untrained_student_has_no_such_directions(setting):
    (teacher, student), _, pairs, heldout = setting
    other = untrained_copy(student, 3)
    found = search(teacher, other, POLICY, pairs, heldout)
    assert not any(
        p.supported for p in learn_subspaces(teacher, other, found, pairs, heldout, rank=2, fit=QUICK).proposals
    )


def test_nothing_proposed_is_nothing_narrowed(setting):
    models, found, pairs, heldout = setting
    nothing = replace(found, proposals=())
    assert learn_subspaces(*models, nothing, pairs, heldout, rank=2) is nothing


@pytest.mark.parametrize("rank", [0, 10_000])
def test_a_rank_that_no_hook_point_has_is_refused(setting, rank):
    with pytest.raises(
        ValueError, match=f"rank {rank} given; a hook point of this student has 1–{setting[0][1].width}"
    ):
        check_rank(setting[0][1], "block_output", rank)


def test_what_cannot_be_learned_is_refused(setting):
    (teacher, student), found, pairs, heldout = setting
    with pytest.raises(ValueError, match="this is a classification teacher"):
        learn_subspaces(student, teacher, found, pairs, heldout, rank=1)
    with pytest.raises(ValueError, match="component 'mlp_output' given; subspaces are learned only of block_output"):
        check_rank(student, "mlp_output", 1)
    masked = teacher_and_student("bert", "masked_lm")[1]
    with pytest.raises(ValueError, match="not for masked_lm; leave it out"):
        check_rank(masked, "block_output", 1)


def test_learning_leaves_no_gradient_and_no_hook(setting, narrowed):
    for model in setting[0]:
        assert all(parameter.grad is None for parameter in model.model.parameters())
        assert not any(module._forward_hooks for module in model.model.modules())
    assert torch.is_grad_enabled()
