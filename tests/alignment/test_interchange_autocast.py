"""Mixed precision: an interchange under autocast is exact where it changes nothing, and near float32 where it does."""

from pathlib import Path

import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.models.hooks.hook_points import COMPONENTS
from tests.alignment.interventions import BASE, PAIRS, SOURCE, every_position, hooked, positions, site
from tests.training.small import logged, models, trainer

HALVES = (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_source_equal_to_base_changes_nothing(architecture: str, dtype: torch.dtype) -> None:
    model = hooked(architecture)
    with torch.autocast("cpu", dtype):
        for component in COMPONENTS:
            sites = [site(model, component)]
            run = model.run(BASE, hook_points_needed(model, sites))
            again = interchange(model, sites, run, run.source_activations(), every_position(BASE))
            assert torch.equal(again.logits, run.logits), component


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("component", ["block_output", "mlp_output"])
def test_logits_and_gradients_are_near_float32(component: str, dtype: torch.dtype) -> None:
    model = hooked("bert")
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype, enabled=enabled):
            logits = interchange(model, [site(model, component)], BASE, SOURCE, positions(PAIRS)).logits.float()
            loss = logits.log_softmax(-1)[..., 0].mean()
        weight = model.model.get_submodule(model.hook_point("attention_output", 0).module).weight
        found.append((logits, torch.autograd.grad(loss, weight)[0].flatten()))
    (exact, expected), (logits, gradient) = found
    assert not torch.equal(logits, exact)
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())
    assert torch.cosine_similarity(gradient, expected, dim=0) > 0.99


def test_a_source_of_another_type() -> None:
    """A block's output is float32 under autocast, what leaves its last linear map is not."""
    model = hooked("bert")
    sites = [site(model, "mlp_output", source={"layer": 1, "component": "block_output"})]
    with torch.autocast("cpu", torch.bfloat16):
        run = interchange(model, sites, BASE, SOURCE, positions(PAIRS), keep=[sites[0].hook_point])
    assert run.activations[sites[0].hook_point].dtype == torch.bfloat16
    assert run.logits.isfinite().all()


def test_a_training_in_bfloat16(tmp_path: Path) -> None:
    finished = [trainer(tmp_path, models(dropout=0.0), max_steps=3, bf16=half) for half in (False, True)]
    for each in finished:
        each.train()
    exact, half = (logged(each) for each in finished)
    assert half != exact and half == pytest.approx(exact, rel=0.05)
