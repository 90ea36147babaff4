"""`interchange` gives what hooks on a `TransformerBridge` over the same weights give, at every hook point both name."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import Site
from causalkd.data.positions import Positions
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from tests.oracles.pyvene_reference import loss_gradients
from tests.tiny import ARCHITECTURES, TASKS_OF, tiny, tiny_inputs

BATCH, LENGTH = 3, 8
SWAPPED = Positions(
    base=torch.tensor([[0, 3], [4, 1], [2, 5]]),
    source=torch.tensor([[2, 3], [0, 5], [4, 1]]),
    valid=torch.ones(3, 2, dtype=torch.bool),
)
# The bridge trains copies of q, k and v split from the joint weight of these two.
FUSED = ("gpt2", "gpt_neox")


@functools.cache
def _pair(architecture: str, task: str) -> tuple[HookedModel, Any]:
    # In float32 the split weights of GPT-2 alone move the logits by 2e-6.
    model = tiny(architecture, task, dtype=torch.float64)
    model.set_attn_implementation("eager")  # what a bridge runs
    hooked = HookedModel(model, task=task, role="student")
    return hooked, hooked.bridge()


def _bridge_logits(bridge: Any, site: ResolvedSite, base: dict[str, Tensor], source: dict[str, Tensor]) -> Tensor:
    donated: dict[str, Tensor] = {}
    columns = torch.arange(site.hook_point.width) if site.columns is None else site.columns
    rows = torch.arange(BATCH)[:, None]

    def read(tensor: Tensor, hook: Any) -> None:
        donated["here"] = tensor.flatten(2)  # the attention's values come as (batch, pos, head, width)

    def write(tensor: Tensor, hook: Any) -> Tensor:
        flat = tensor.flatten(2).clone()
        flat[rows[..., None], SWAPPED.base[..., None], columns] = donated["here"][
            rows[..., None], SWAPPED.source[..., None], columns
        ]
        return flat.view_as(tensor)

    for inputs, hook in ((source, read), (base, write)):
        masks = {name: tensor for name, tensor in inputs.items() if name != "input_ids"}
        with bridge.hooks(fwd_hooks=[(site.hook_point.name, hook)]):
            logits = bridge(inputs["input_ids"], **masks)
    return logits


def _same_as_bridge(architecture: str, task: str, component: str) -> None:
    hooked, bridge = _pair(architecture, task)
    heads = {"unit": "h.pos", "heads": [0, 2]} if component == "head_attention_value_output" else {}
    layer = 0 if component == "token_embedding" else 1
    site = resolve_site(Site.model_validate({"layer": layer, "component": component, **heads}), hooked)
    base, source = (tiny_inputs(BATCH, LENGTH, seed=seed, types=architecture == "bert") for seed in (1, 2))
    expected = _bridge_logits(bridge, site, base, source)
    logits = interchange(hooked, [site], base, source, SWAPPED).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(logits, hooked.run(base).logits, atol=1e-3), "the interchange changed nothing"
    if architecture not in FUSED:
        gradients = loss_gradients(logits, hooked.model)
        renamed = loss_gradients(expected, bridge.original_model)
        torch.testing.assert_close(
            gradients, {name.replace("._original_component", ""): gradient for name, gradient in renamed.items()}
        )


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_language_model(architecture: str, component: str):
    _same_as_bridge(architecture, TASKS_OF[architecture][0], component)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_classification(architecture: str):
    _same_as_bridge(architecture, "classification", "block_output")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_hook_point_is_a_hook_of_the_bridge(architecture: str):
    hooked, bridge = _pair(architecture, TASKS_OF[architecture][0])
    assert {hook_point.name for hook_point in hooked.hook_points()} <= bridge.hook_dict.keys()
