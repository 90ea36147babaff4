"""Copied and pickled models with hooks compute the same and share nothing."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch

from causalkd.models.hooks.hooked_model import HookedModel, Role
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs()


@pytest.mark.parametrize("role", ["teacher", "student"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_computes_the_same_and_shares_nothing(role: Role, again: Callable[[HookedModel], HookedModel]) -> None:
    model = HookedModel(tiny("gpt2", "causal_lm"), task="causal_lm", role=role)
    model.entries = 7
    before = model.run(INPUTS, model.hook_points())
    copied = again(model)
    after = copied.run(INPUTS, copied.hook_points())
    assert copied.hook_points() == model.hook_points()
    assert (copied.role, copied.task, copied.entries) == (role, "causal_lm", 7)
    assert all(torch.equal(before.activations[point], after.activations[point]) for point in model.hook_points())
    with torch.no_grad():
        next(copied.model.parameters()).zero_()
    assert torch.equal(model.run(INPUTS).logits, before.logits)
