"""Layers that share a block, as ALBERT's do, can be hooked, left out and cut apart from each other."""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AlbertConfig, AlbertForMaskedLM

from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Site
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.models.lora import add_lora
from causalkd.models.students import student_from_teacher
from causalkd.training.compute import BlockForwards
from causalkd.training.flops import ForwardCost, Shape
from tests.architectures.checks import interchanges
from tests.architectures.inputs import BASE
from tests.tiny import POSITIONS, VOCABULARY, WIDTH

LAYERS = 4


def _stock(groups: int = 2, inner: int = 1) -> AlbertForMaskedLM:
    """Float64, four layers; with two blocks, the first two layers share one and the last two the other."""
    config = AlbertConfig(
        vocab_size=VOCABULARY,
        embedding_size=8,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_hidden_groups=groups,
        inner_group_num=inner,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AlbertForMaskedLM(config).double().eval()


def _hooked(role: str = "student", groups: int = 2) -> HookedModel:
    return HookedModel(_stock(groups), task="masked_lm", role=role)  # type: ignore[arg-type]


def _states(model: HookedModel) -> list[Tensor]:
    """What enters each call of a block and what leaves the last, of the stock model."""
    seen: list[Tensor] = []
    handles = [block.register_forward_pre_hook(lambda module, args: seen.append(args[0])) for block in model.blocks]
    handles.append(
        model.model.albert.encoder.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    )
    with torch.no_grad():
        model.model(**BASE)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("groups", [1, 2])
def test_each_call_of_a_block_is_a_layer(groups: int) -> None:
    model = _hooked(groups=groups)
    assert model.n_layers == LAYERS and len(model.blocks) == groups
    states = _states(model)
    points = [model.hook_point("block_input", layer) for layer in range(LAYERS)]
    points.append(model.hook_point("block_output", LAYERS - 1))
    run = model.run(BASE, points)
    assert [hook_point.name for hook_point in points[:2]] == ["blocks.0.hook_in", "blocks.1.hook_in"]
    assert all(
        torch.equal(run.activations[hook_point], state) for hook_point, state in zip(points, states, strict=True)
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_an_interchange_in_each_layer_is_that_of_plain_hooks(groups: int) -> None:
    model = _hooked(groups=groups)
    components = dict.fromkeys(hook_point.component for hook_point in model.hook_points())
    assert len(components) == 7
    for layer in range(LAYERS):
        assert interchanges(model, components, layer) is None


@pytest.mark.parametrize("layer", range(1, LAYERS + 1))
def test_a_forward_pass_starts_at_any_layer(layer: int) -> None:
    """And the layers before it are not run."""
    model = _hooked()
    stock = [*model.blocks]
    expected, states = model.run(BASE), _states(model)
    counted = BlockForwards()
    with counted.counting(model, None), model.resumed(layer, states[layer]):
        again = model.run(BASE)
    assert torch.equal(again.logits, expected.logits)
    assert counted.total == 3 * (LAYERS - layer) * len(BASE["input_ids"])
    assert [*model.blocks] == stock and model.model.albert.encoder._forward_pre_hooks == {}


def test_contexts_can_be_nested_and_a_forward_pass_can_end_early() -> None:
    model = _hooked()
    first, last = model.hook_point("attention_output", 0), model.hook_point("attention_output", 3)
    expected = model.run(BASE, [first, last])
    scaled = torch.linspace(0.5, 1.5, WIDTH, dtype=torch.float64)
    with model.hooks([(first, lambda tensor: tensor * scaled)]):
        ended = model.read(BASE, [first]).activations[first]
        with model.hooks([(last, lambda tensor: None)]):
            changed = model.run(BASE, [first, last])
    assert torch.equal(ended, expected.activations[first] * scaled)
    assert torch.equal(changed.activations[first], ended)
    assert not torch.equal(changed.activations[last], expected.activations[last])
    assert torch.equal(model.run(BASE).logits, expected.logits)


def test_modes_and_weights_that_change_inside_a_context_change_the_model() -> None:
    model = _hooked()
    with model.hooks([]), torch.no_grad():
        before = model.run(BASE).logits
        model.model.train()
        for weight in model.blocks.parameters():
            weight.mul_(2)
        inside = model.model.eval()(**BASE).logits
        model.model.train()
    assert all(module.training for module in model.model.modules())
    assert not torch.equal(before, inside) and torch.equal(model.model.eval()(**BASE).logits, inside)


def test_hooks_of_others_in_a_shared_block_are_called_in_every_layer() -> None:
    model = _hooked()
    called: list[int] = []
    handle = model.blocks[0].albert_layers[0].ffn.register_forward_hook(lambda *_: called.append(0))
    model.run(BASE, model.hook_points())
    handle.remove()
    assert called == [0, 0]


@pytest.mark.parametrize("layers", [[0, 1, 3], [1], [0, 2], [3, 3]])
def test_a_student_is_cut(layers: list[int], tmp_path: Path) -> None:
    teacher = _hooked("teacher", groups=1)
    student = student_from_teacher(teacher, layers=layers)
    assert (student.n_layers, len(student.blocks)) == (len(layers), 1)
    calls = itertools.count()
    handle = teacher.blocks[0].register_forward_hook(
        lambda module, args, output: args[0] if next(calls) >= len(layers) else None
    )
    with torch.no_grad():
        expected = teacher.model(**BASE).logits
        handle.remove()
        torch.testing.assert_close(student.model.eval()(**BASE).logits, expected, rtol=0, atol=0)
    student.save_pretrained(tmp_path)
    again = load_model(tmp_path, task="masked_lm", role="student")
    assert again.n_layers == len(layers)
    weights = student.model.state_dict()
    assert all(torch.equal(weight.double(), weights[name]) for name, weight in again.model.state_dict().items())


def test_layers_of_other_blocks_are_cut_or_refused() -> None:
    teacher = _hooked("teacher")
    student = student_from_teacher(teacher, layers=[0, 3])
    for name, weight in student.blocks[1].state_dict().items():
        assert torch.equal(weight, teacher.blocks[1].state_dict()[name])
    # Three layers cannot share two blocks as the teacher's do.
    with pytest.raises(ValueError, match="compute something else as a student's blocks"):
        student_from_teacher(teacher, layers=[0, 2, 3])


def test_low_rank_adapters_are_shared_too() -> None:
    student = _hooked(groups=1)
    add_lora(student, rank=2)
    adapters = [weight for weight in student.model.parameters() if weight.requires_grad]
    assert len(adapters) == 2 * 6
    with torch.no_grad():
        for weight in adapters:
            weight.normal_(generator=torch.Generator().manual_seed(weight.numel()))
    assert interchanges(student, ["mlp_output", "attention_output"]) is None


def test_two_sites_in_one_shared_block_are_two_places() -> None:
    model = _hooked(groups=1)
    first, second = (resolve_site(Site(layer=layer, component="mlp_output"), model).hook_point for layer in (0, 1))
    assert first.module == second.module and first != second


def test_the_cost_counts_every_call() -> None:
    shape = Shape(rows=1, width=8, predicted=2)
    shared, apart = ForwardCost(_hooked(groups=1)), ForwardCost(_hooked(groups=LAYERS))
    assert shared.forward(shape) == apart.forward(shape)


def test_what_cannot_be_told_apart_is_refused() -> None:
    """A forward that is bound to the stock module would run without the hooks of its layer."""
    model = _hooked()
    layer: nn.Module = model.blocks[0].albert_layers[0]
    layer.forward = layer.forward
    with pytest.raises(ValueError, match="a block that several layers share is not its class's own"):
        model.run(BASE)
    del vars(layer)["forward"]
    compiled = copy.deepcopy(model.model)
    compiled.albert.encoder.albert_layer_groups[0].compile(backend="eager")
    with pytest.raises(ValueError, match="a block that several layers share is not its class's own"):
        HookedModel(compiled, task="masked_lm", role="student").run(BASE)


def test_a_block_of_several_sublayers_is_refused() -> None:
    with pytest.raises(ValueError, match="inner_group_num is 2, where it must be 1"):
        HookedModel(_stock(inner=2), task="masked_lm", role="student")
