from dataclasses import replace

import pytest
import torch
from transformer_lens.tools.analysis.interchange import arbitrary_targets

from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.verification.measures.ground_truth import KnownAnswers
from causalkd.verification.search import das
from causalkd.verification.search.das import Fit, learn_subspace
from tests.handmade import PAD, counterfactual_labels, examples, handmade
from tests.held_out import pairs_of, teacher_and_student

QUICK = Fit(epochs=20)
POLICIES = {"bit": PositionPolicy(policy="segments", segments=("bit",))}


def _pairs(seed, n):
    return pair_batches(examples(), evaluation_pairs(examples(), n, seed), POLICIES, 50, PAD)


@pytest.fixture(scope="module")
def setting():
    """The bit's position holds `equal` and the bit after block 1, both of which are read later."""
    pairs, heldout = _pairs(0, 200), _pairs(1, 200)
    answers = [KnownAnswers.of(counterfactual_labels, ("equal", "bit"), part) for part in (pairs, heldout)]
    return handmade("student", apart=True), pairs, heldout, answers


@pytest.mark.parametrize("variable", ["equal", "bit"])
def test_the_direction_of_a_planted_variable_is_found(setting, variable):
    model, pairs, heldout, (seen, unseen) = setting
    found = learn_subspace(
        model,
        1,
        "bit",
        pairs,
        seen.counterfactual[variable],
        heldout,
        unseen.counterfactual[variable],
        rank=1,
        fit=QUICK,
    )
    assert found.basis.shape == (model.width, 1) and found.basis.norm() == pytest.approx(1, abs=1e-4)
    assert found.heldout >= 0.95
    assert found.arbitrary <= 0.65  # the 128 sources have arbitrary classes, which a direction can fit a little


def test_a_source_has_one_arbitrary_target_whatever_its_batch_is_padded_to(monkeypatch):
    """The rows of each batch are in the next one as well, beside a longer one."""
    chosen = []

    def arbitrary(keys, classes, seed):
        chosen.append(list(keys))
        return arbitrary_targets(keys, classes, seed)

    monkeypatch.setattr(das, "arbitrary_targets", arbitrary)
    rows = [{"input_ids": [2, 3, 10][:length]} for length in (1, 2, 3)]
    policy = {"bit": PositionPolicy(policy="first")}
    pairs = [
        batch
        for several in ([0], [0, 1], [0, 1, 2])
        for batch in pair_batches(rows, (torch.zeros(len(several)).long(), torch.tensor(several)), policy, 3, PAD)
    ]
    targets = torch.zeros(6, dtype=torch.long)
    learn_subspace(handmade("student", apart=True), 1, "bit", pairs, targets, pairs, targets, rank=1, fit=Fit(epochs=1))
    assert chosen == [[tuple(rows[number]["input_ids"]) for number in (0, 0, 1, 0, 1, 2)]] * 2


def test_the_dimension_is_found_too(setting):
    model, pairs, heldout, (seen, unseen) = setting
    found = learn_subspace(
        model,
        1,
        "bit",
        pairs,
        seen.counterfactual["equal"],
        heldout,
        unseen.counterfactual["equal"],
        rank=None,
        fit=QUICK,
    )
    assert found.heldout >= 0.95 and found.basis.shape[1] <= model.width // 4
    torch.testing.assert_close(found.basis.T @ found.basis, torch.eye(found.basis.shape[1]), rtol=0, atol=1e-4)


def test_the_model_is_left_as_it_was(setting):
    model, pairs, heldout, (seen, unseen) = setting
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    targets = seen.counterfactual["bit"], unseen.counterfactual["bit"]
    state = torch.get_rng_state()
    first, second = (
        learn_subspace(model, 1, "bit", pairs, targets[0], heldout, targets[1], rank=2, fit=Fit(epochs=1)) for _ in "ab"
    )
    assert torch.get_rng_state().equal(state) and first.basis.equal(second.basis)
    assert all(tensor.equal(before[name]) for name, tensor in model.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.model.parameters())
    assert not any(module._forward_hooks for module in model.model.modules())


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_a_subspace_is_learned_whatever_a_caller_has_switched_off(setting, around):
    model, pairs, heldout, (seen, unseen) = setting
    targets = seen.counterfactual["bit"], unseen.counterfactual["bit"]
    with around():
        found = learn_subspace(model, 1, "bit", pairs, targets[0], heldout, targets[1], rank=1, fit=QUICK)
    assert found.heldout >= 0.95


def test_a_teacher_is_refused(setting):
    _, pairs, heldout, (seen, unseen) = setting
    targets = seen.counterfactual["bit"], unseen.counterfactual["bit"]
    with pytest.raises(ValueError, match="student's role; this is a classification teacher"):
        learn_subspace(handmade(apart=True), 1, "bit", pairs, targets[0], heldout, targets[1], rank=1)


def test_pairs_without_separate_sources_and_no_pairs_are_refused(setting):
    model, pairs, heldout, (seen, unseen) = setting
    targets = seen.counterfactual["bit"], unseen.counterfactual["bit"]
    inside = [replace(batch, source=None, source_rows=torch.arange(50).roll(1)) for batch in pairs]
    for given, said in ((inside, "needs pairs with separate sources"), ([], "was given no batches of pairs")):
        with pytest.raises(ValueError, match=said):
            learn_subspace(model, 1, "bit", given, targets[0], heldout, targets[1], rank=1)


def test_arguments_that_do_not_fit_the_pairs_are_refused():
    teacher, student = teacher_and_student()
    batches = pairs_of(teacher, student, n=4)[1]
    drawn = [batch.positions["middle"] for batch in batches]
    empty = [replace(each, valid=torch.zeros_like(each.valid)) for each in drawn]
    none = [replace(batch, positions={"middle": each}) for batch, each in zip(batches, empty, strict=True)]
    targets = torch.zeros(4, dtype=torch.long)

    def learn(given=batches, wanted=targets, heldout=targets, pair="middle", rank=2, epochs=1):
        learn_subspace(student, 0, pair, given, wanted, batches, heldout, rank=rank, fit=Fit(epochs=epochs))

    for wrong, message in (
        ({"heldout": targets[:1]}, r"the targets have shape \(1,\); give one class for each of the 4 pairs"),
        ({"wanted": targets[:3]}, r"the targets have shape \(3,\)"),
        ({"rank": 33}, "rank 33 given; blocks.0.hook_out has 1–32 directions"),
        ({"rank": 0}, "rank 0 given"),
        ({"epochs": 0}, "0 epochs given"),
        ({"pair": "midle"}, r"no positions for 'midle', only for \['middle'\]"),
        ({"given": none}, "no row has a position for 'middle'"),
    ):
        with pytest.raises(ValueError, match=message):
            learn(**wrong)
