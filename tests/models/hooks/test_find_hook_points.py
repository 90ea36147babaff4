"""Hook points: every architecture and head has them, under TransformerLens' names, where the stock model computes
them."""

import pytest
from torch import nn

from causalkd.models.hooks.find_hook_points import find_hook_points
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from tests.tiny import ARCHITECTURES, HEADS, MODELS, TASKS_OF, WIDTH, tiny, tiny_inputs

NAMES = {
    "token_embedding": "embed.hook_out",
    "block_input": "blocks.1.hook_in",
    "block_output": "blocks.1.hook_out",
    "attention_output": "blocks.1.attn.o.hook_out",
    "mlp_output": "blocks.1.mlp.out.hook_out",
    "attention_value_output": "blocks.1.attn.o.hook_in",
    "head_attention_value_output": "blocks.1.attn.o.hook_in",
}


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_every_component_of_every_layer_is_a_module_of_the_model(architecture: str, task: Task) -> None:
    stock = tiny(architecture, task)
    model = HookedModel(stock, task=task, role="teacher")
    modules = dict(stock.named_modules())
    assert [(p.component, p.layer) for p in model.hook_points()] == [
        ("token_embedding", 0),
        *((component, layer) for layer in range(3) for component in COMPONENTS if component != "token_embedding"),
    ]
    for hook_point in model.hook_points():
        assert hook_point.module in modules, (
            f"{hook_point.name} names {hook_point.module}, which {model.architecture} has not"
        )
        assert hook_point.width == WIDTH
        assert hook_point.heads == (HEADS if hook_point.component == "head_attention_value_output" else 1)
    assert {p.component: p.name for p in model.hook_points() if p.layer == 1 or not p.depth[1]} == NAMES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_forward_reaches_the_hook_points_in_their_order(architecture: str) -> None:
    task = TASKS_OF[architecture][0]
    model = HookedModel(tiny(architecture, task), task=task, role="teacher")
    inputs, met = tiny_inputs(), []
    hooks = [
        (hook_point, lambda tensor, hook_point=hook_point: met.append((hook_point, tensor.shape)))
        for hook_point in model.hook_points()
    ]
    with model.hooks(hooks):
        model.run(inputs)
    assert (
        [hook_point for hook_point, _ in met]
        == list(model.hook_points())
        == sorted(model.hook_points(), key=lambda hook_point: hook_point.depth)
    )
    assert {shape for _, shape in met} == {(*inputs["input_ids"].shape, WIDTH)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_sublayer_outputs_are_those_of_their_last_linear_map(architecture: str) -> None:
    """No residual, norm or dropout: what leaves is a linear function of what enters."""
    task = TASKS_OF[architecture][0]
    model = HookedModel(tiny(architecture, task), task=task, role="teacher")
    for component in ("attention_output", "mlp_output"):
        module = model.model.get_submodule(model.hook_point(component, 1).module)
        assert isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def test_a_name_the_model_lacks_is_an_error() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher")
    with pytest.raises(ValueError, match="GPT2LMHeadModel has no single list of blocks where its adapter says"):
        find_hook_points(model.adapter, tiny("gpt2", "causal_lm"))
