"""A forward pass that starts at any hook point of any architecture gives the same as a complete one."""

import pytest
import torch

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.start_at import entered, entry_hook_points, hook_point_of, resume_hook_point
from tests.tiny import ARCHITECTURES, ENCODERS, tiny, tiny_inputs


def _model(architecture: str = "bert") -> HookedModel:
    task = "masked_lm" if architecture in ENCODERS else "causal_lm"
    return HookedModel(tiny(architecture, task, layers=2, dtype=torch.float64), task=task, role="teacher")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_entered_with_its_own_activation_a_forward_is_unchanged(architecture: str) -> None:
    model, inputs = _model(architecture), tiny_inputs()
    whole = model.run(inputs, model.hook_points())
    for hook_point in model.hook_points():
        with entered(model, hook_point, *(whole.activations[each] for each in entry_hook_points(model, hook_point))):
            torch.testing.assert_close(model.run(inputs).logits, whole.logits, rtol=0, atol=1e-12)
    assert torch.equal(model.run(inputs).logits, whole.logits)


def test_blocks_before_the_hook_point_do_not_run() -> None:
    model, inputs, ran = _model(), tiny_inputs(), []
    for layer, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    hook_point = model.hook_point("block_output", 0)
    hidden = model.run(inputs, [hook_point]).activations[hook_point]
    ran.clear()
    with entered(model, hook_point, hidden):
        model.run(inputs)
    assert ran == [1]


def test_the_boundary_before_a_hook_point() -> None:
    model = _model()
    assert resume_hook_point(model, model.hook_point("token_embedding", 0)) is None
    assert resume_hook_point(model, model.hook_point("mlp_output", 1)) == model.hook_point("block_input", 1)
    inside = model.hook_point("attention_output", 1)
    assert entry_hook_points(model, inside) == (inside, model.hook_point("block_input", 1))


def test_hook_points_by_name() -> None:
    model = _model()
    assert hook_point_of(model, None) == model.hook_point("block_input", 0)
    assert hook_point_of(model, "blocks.1.attn.o.hook_out") == model.hook_point("attention_output", 1)
    with pytest.raises(
        ValueError, match=r"'blocks.7.hook_out' is not a hook point of BertForMaskedLM; did you mean blocks"
    ):
        hook_point_of(model, "blocks.7.hook_out")
    other = HookedModel(tiny("bert", "masked_lm", layers=3), task="masked_lm", role="teacher")
    with pytest.raises(ValueError, match="is not a hook point of BertForMaskedLM"):
        hook_point_of(model, other.hook_point("block_input", 2))
