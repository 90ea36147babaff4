"""Compiled blocks: the same numbers, the same names, hooks outside; what they would leave out is refused."""

import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.models.hooks.attention import twice_differentiable
from causalkd.models.hooks.compiled_blocks import compiled_blocks
from causalkd.models.hooks.hooked_model import HookedModel
from tests.alignment.interventions import BASE, PAIRS, SOURCE, doubled, gradients, positions, site
from tests.tiny import tiny, tiny_inputs

# torch's tracer looks at the gradient of every tensor that enters.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


def _intervened(model: HookedModel) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    sites = [site(model, "block_output")]
    base = model.run(BASE, hook_points_needed(model, sites))
    run = interchange(model, sites, base, SOURCE, positions(PAIRS))
    return run.logits, gradients(model, run.logits.square().sum())


def test_an_intervention_between_them_is_the_same_and_nothing_stays() -> None:
    model = doubled("bert")
    expected = _intervened(model)
    names = list(model.model.state_dict())
    with compiled_blocks(model, "eager"):
        found = _intervened(model)
        assert list(model.model.state_dict()) == names
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert not any("forward" in vars(block) for block in model.blocks)


def test_a_hook_inside_and_a_second_derivative_are_refused_meanwhile() -> None:
    model = doubled("bert")
    with compiled_blocks(model, "eager"):
        with pytest.raises(ValueError, match="block 1 is compiled, which would leave out"):
            model.run(BASE, [model.hook_point("mlp_output", 1)])
        with pytest.raises(ValueError, match="block 0 is compiled, and torch compiles no second derivative"):
            with twice_differentiable(model):
                pass
        with pytest.raises(ValueError, match=r"the forward of block 0 of .* is not its class's own"):
            with compiled_blocks(model, "eager"):
                pass
    model.run(BASE, [model.hook_point("mlp_output", 1)])


# torch's own compiler uses it as it is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_generated_code_has_the_numbers_and_the_dropout_of_the_blocks(architecture: str) -> None:
    model = HookedModel(tiny(architecture, "classification", dropout=0.3), task="classification", role="student")
    model.model.train()
    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        if compiled:
            with compiled_blocks(model):
                logits = model.run(tiny_inputs(3, 8)).logits
                found.append((logits, gradients(model, logits.square().sum())))
        else:
            logits = model.run(tiny_inputs(3, 8)).logits
            found.append((logits, gradients(model, logits.square().sum())))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
