"""`interchange` gives what pyvene gives, for every architecture and component that pyvene can address."""

import functools
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from transformer_lens.tools.analysis.interchange import random_basis

from causalkd.alignment.basis import Basis
from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.data.positions import Positions
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from tests.oracles import pyvene_reference as reference
from tests.tiny import ARCHITECTURES, HEADS, TASKS_OF, tiny, tiny_inputs

BATCH, LENGTH = 3, 8
BY_HEAD = "head_attention_value_output"
SWAPPED = Positions(
    base=torch.tensor([[0, 3], [4, 1], [2, 5]]),
    source=torch.tensor([[2, 3], [0, 5], [4, 1]]),
    valid=torch.ones(3, 2, dtype=torch.bool),
)


@functools.cache
def _model(architecture: str, task: str) -> HookedModel:
    model = tiny(architecture, task, dtype=torch.float64)
    # pyvene writes into the attention's output, which the fused kernel still needs for its backward.
    model.set_attn_implementation("eager")
    return HookedModel(model, task=task, role="student")


def _inputs(architecture: str, seed: int) -> dict[str, torch.Tensor]:
    return tiny_inputs(BATCH, LENGTH, seed=seed, types=architecture == "bert")


def _same_as_pyvene(architecture: str, task: str, *sites: Site) -> None:
    """Logits and the gradient of every parameter, both runs from the same weights in float64."""
    hooked = _model(architecture, task)
    pair = SitePair(name="pair", teacher=sites, student=sites)
    alignment = Alignment(name="parity", positions=PositionPolicy(policy="all"), pairs=(pair,))
    base, source = _inputs(architecture, 1), _inputs(architecture, 2)
    expected, expected_gradients = reference.run_pyvene(
        alignment.to_pyvene()[0],
        hooked.model,
        base,
        [source],
        reference.unit_locations(sites, SWAPPED, HEADS),
        reference.subspaces(sites, BATCH),
        gradients=True,
    )
    logits = interchange(hooked, [resolve_site(site, hooked) for site in sites], base, source, SWAPPED).logits
    gradients = reference.loss_gradients(logits, hooked.model)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    assert not torch.allclose(logits, hooked.run(base).logits, atol=1e-3), "the interchange changed nothing"
    assert gradients.keys() == expected_gradients.keys()
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-9, atol=1e-10)


def _site(component: str, layer: int = 1) -> Site:
    if component == BY_HEAD:
        return Site(layer=layer, component=component, unit="h.pos", heads=(0, 2))
    return Site(layer=0 if component == "token_embedding" else layer, component=component)


# pyvene raises on OPT's `mlp_output`, which is two-dimensional; `test_opt_mlp_output` compares it with plain hooks.
ADDRESSABLE = [pair for pair in product(ARCHITECTURES, COMPONENTS) if pair != ("opt", "mlp_output")]


@pytest.mark.parametrize(("architecture", "component"), ADDRESSABLE)
def test_language_model(architecture: str, component: str):
    _same_as_pyvene(architecture, TASKS_OF[architecture][0], _site(component))


@pytest.mark.parametrize("component", ["block_output", BY_HEAD])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_classification(architecture: str, component: str):
    _same_as_pyvene(architecture, "classification", _site(component))


OTHER_HEADS = [
    ("bert", "token_classification"),
    ("roberta", "question_answering"),
    ("gpt2", "regression"),
    ("llama", "question_answering"),
]


@pytest.mark.parametrize(("architecture", "task"), OTHER_HEADS)
def test_other_heads(architecture: str, task: str):
    _same_as_pyvene(architecture, task, _site("attention_output"))


SEVERAL = {
    "subspaces": [Site(layer=1, subspace_partition=((0, 5), (9, 20), (30, 31, 7)), subspaces=(1, 2))],
    "subspaces of heads": [
        Site(
            layer=1, component=BY_HEAD, unit="h.pos", heads=(3, 1), subspace_partition=((2, 5), (6, 8)), subspaces=(1,)
        )
    ],
    "all heads": [Site(layer=2, component=BY_HEAD, unit="h.pos")],
    "layers": [Site(layer=0), Site(layer=1, component="attention_output"), Site(layer=2, component="block_input")],
    "halves": [
        Site(layer=1, subspace_partition=((0, 4), (4, 9)), subspaces=(0,)),
        Site(layer=1, subspace_partition=((0, 4), (4, 9)), subspaces=(1,)),
    ],
    "heads and layers": [Site(layer=1, component=BY_HEAD, unit="h.pos", heads=(1,)), Site(layer=1)],
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("architecture", ["distilbert", "qwen2"])
def test_several_sites_heads_and_subspaces(architecture: str, name: str):
    _same_as_pyvene(architecture, TASKS_OF[architecture][0], *SEVERAL[name])


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_learned_directions(architecture: str):
    """The config holds pyvene's intervention; in float64 it does what the site does, beside a whole hook point."""
    hooked = _model(architecture, TASKS_OF[architecture][0])
    turned = Site(layer=1, basis=Basis.of(random_basis(hooked.width, 3, 0).numpy()))
    sites = (turned, Site(layer=2, component="block_input" if architecture == "bert" else "mlp_output"))
    alignment = Alignment(
        name="parity",
        positions=PositionPolicy(policy="all"),
        pairs=(SitePair(name="pair", teacher=sites, student=sites),),
    )
    config = alignment.to_pyvene()[0]
    rotation = config.representations[0].intervention.double().rotate_layer
    weight = rotation.weight.detach()
    base, source = _inputs(architecture, 1), _inputs(architecture, 2)
    one = Positions(*(part[:, :1] for part in (SWAPPED.base, SWAPPED.source, SWAPPED.valid)))  # pyvene joins several
    expected, expected_gradients = reference.run_pyvene(
        config, hooked.model, base, [source], reference.unit_locations(sites, one, HEADS), gradients=True
    )
    first, second = (resolve_site(site, hooked) for site in sites)
    # pyvene makes the directions orthonormal once more in float64.
    torch.testing.assert_close(weight, first.basis.double(), rtol=0, atol=1e-6)
    logits = interchange(hooked, [replace(first, basis=weight), second], base, source, one).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    gradients = reference.loss_gradients(logits, hooked.model)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("task", ["causal_lm", "classification"])
def test_opt_mlp_output(task: str):
    """The comparison with plain hooks: OPT's last linear map of the MLP returns rows and positions as one dimension."""
    hooked = _model("opt", task)
    site = resolve_site(_site("mlp_output"), hooked)
    base, source = _inputs("opt", 1), _inputs("opt", 2)
    module = hooked.model.get_submodule(site.hook_point.module)
    rows = torch.arange(BATCH)[:, None]
    donated = []

    def read(_: nn.Module, args: object, output: Tensor) -> None:
        donated.append(output.unflatten(0, (BATCH, LENGTH)))

    def write(_: nn.Module, args: object, output: Tensor) -> Tensor:
        return (
            output.unflatten(0, (BATCH, LENGTH))
            .index_put((rows, SWAPPED.base), donated[0][rows, SWAPPED.source])
            .flatten(0, 1)
        )

    for inputs, hook in ((source, read), (base, write)):
        handle = module.register_forward_hook(hook)
        expected = hooked.model(**inputs).logits
        handle.remove()
    logits = interchange(hooked, [site], base, source, SWAPPED).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    gradients = [reference.loss_gradients(found, hooked.model) for found in (logits, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)


def test_the_reference_leaves_the_model_as_it_was():
    model = tiny("bert", "masked_lm")
    model.train()
    model.bert.embeddings.requires_grad_(False)
    model.cls.eval()
    called = []
    model.bert.encoder.layer[0].register_forward_hook(lambda *_: called.append(1))
    before = [(module.training, dict(module._forward_hooks)) for module in model.modules()]
    wanted = [weight.requires_grad for weight in model.parameters()]
    pair = SitePair(name="pair", teacher=(Site(layer=1),), student=(Site(layer=1),))
    config = Alignment(name="a", positions=PositionPolicy(policy="all"), pairs=(pair,)).to_pyvene()[0]
    base, locations = tiny_inputs(BATCH, LENGTH), reference.unit_locations([Site(layer=1)], SWAPPED, HEADS)
    reference.run_pyvene(config, model, base, [base], locations, gradients=True)
    with pytest.raises(IndexError):
        reference.run_pyvene(config, model, base, [base], {"sources->base": ([], [])}, gradients=True)
    assert [(module.training, dict(module._forward_hooks)) for module in model.modules()] == before
    assert [weight.requires_grad for weight in model.parameters()] == wanted
    called.clear()
    model(**base)
    assert called == [1]
