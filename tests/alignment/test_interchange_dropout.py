"""A counterfactual with dropout shares the base run's dropout up to its first site and draws its own after it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from tests.alignment.interventions import BASE, PAIRS, SOURCE, every_position, positions, shared, site
from tests.tiny import ARCHITECTURES

INSIDE = ("attention_value_output", "head_attention_value_output", "attention_output", "mlp_output")
# These drop attention weights only.
ATTENTION_ONLY = ("llama", "qwen2")


def _student(architecture: str) -> HookedModel:
    model = shared(architecture, dropout=0.3)
    model.model.train()
    return model


def _up_to(model: HookedModel, last: HookPoint) -> list[HookPoint]:
    """The hook points that nothing after the site can have reached."""
    return [hook_point for hook_point in model.hook_points() if hook_point.depth <= last.depth]


def _runs(model: HookedModel, component: str, layer: int = 1) -> tuple[ForwardOutput, ForwardOutput, HookPoint]:
    """A base run, and its counterfactual with itself as source."""
    one = [site(model, component, layer)]
    base = model.run(BASE, [*hook_points_needed(model, one), *model.hook_points()])
    return (
        base,
        interchange(model, one, base, base.source_activations(), every_position(BASE), keep=model.hook_points()),
        one[0].hook_point,
    )


@pytest.mark.parametrize("component", COMPONENTS[1:])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_everything_up_to_the_site_is_the_base_runs(architecture: str, component: str) -> None:
    """The site's input is compared before anything is written: nothing is replaced here, or by the same value."""
    model = _student(architecture)
    base, same, hook_point = _runs(model, component)
    nothing = interchange(
        model,
        [site(model, component)],
        base,
        base.source_activations(),
        positions([[], [], [], []]),
        keep=model.hook_points(),
    )
    for run in (same, nothing):
        for kept in _up_to(model, hook_point):
            assert torch.equal(run.activations[kept], base.activations[kept]), kept.name
        assert not torch.equal(run.logits, base.logits), "no dropout of its own after the site"


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in ATTENTION_ONLY])
@pytest.mark.parametrize("component", INSIDE)
def test_dropout_is_new_right_after_the_site(architecture: str, component: str) -> None:
    """In the site's own block the output differs although the site's output does not."""
    model = _student(architecture)
    base, same, hook_point = _runs(model, component)
    following = model.hook_point("block_output", hook_point.layer)
    assert torch.equal(same.activations[hook_point], base.activations[hook_point])
    assert not torch.equal(same.activations[following], base.activations[following])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_after_the_last_block_nothing_is_random(architecture: str) -> None:
    """The counterfactual of a head without dropout equals the base run bitwise."""
    base, same, _ = _runs(_student(architecture), "block_output", 2)
    assert torch.equal(same.logits, base.logits)


@pytest.mark.parametrize("component", ["block_output", "mlp_output", "token_embedding"])
def test_every_counterfactual_draws_again_from_the_same_stream(component: str) -> None:
    model = _student("bert")
    one = [site(model, component)]

    def twice() -> list[Tensor]:
        torch.manual_seed(5)
        base = model.run(BASE, hook_points_needed(model, one))
        return [interchange(model, one, base, base.source_activations(), every_position(BASE)).logits for _ in range(2)]

    first, again = twice(), twice()
    assert not torch.equal(first[0], first[1])
    assert all(torch.equal(one_run, other) for one_run, other in zip(first, again, strict=True))


def test_the_stream_is_not_wound_back() -> None:
    """Replaying the base run's dropout must leave the generator where the counterfactual's own draws end."""
    model = _student("bert")
    one = [site(model, "mlp_output")]
    base = model.run(BASE, hook_points_needed(model, one))
    met = [model.generator_state()]
    for _ in range(3):
        interchange(model, one, base, base.source_activations(), every_position(BASE))
        met.append(model.generator_state())
    seen = [state.numpy().tobytes() for state in (*met, *base.generator_states.values())]
    assert len(set(seen)) == len(seen)


def test_the_gradient_is_that_of_the_replayed_dropout() -> None:
    """An empty intervention inside the last block: the path through its replayed part has the base run's gradient."""
    model = _student("bert")
    hook_point = model.hook_point("mlp_output", 2)
    one = [site(model, "mlp_output", 2)]
    base = model.run(BASE, [*hook_points_needed(model, one), hook_point])
    nothing = interchange(model, one, base, base.source_activations(), positions([[], [], [], []]), keep=[hook_point])
    weights = [p for name, p in model.model.named_parameters() if "layer.2.attention" in name or "layer.0" in name]
    grads = [
        torch.autograd.grad(run.activations[hook_point].square().sum(), weights, retain_graph=True, allow_unused=True)
        for run in (base, nothing)
    ]
    assert any(gradient is not None for gradient in grads[0])
    for expected, mine in zip(*grads, strict=True):
        assert (expected is None) == (mine is None)
        if expected is not None:
            torch.testing.assert_close(mine, expected)


def test_inputs_may_stand_for_the_base_run() -> None:
    model = _student("bert")
    for component in ("mlp_output", "block_output"):
        run = interchange(model, [site(model, component)], BASE, SOURCE, positions(PAIRS))
        assert run.logits.isfinite().all() and run.logits.requires_grad


def test_a_base_run_without_its_random_states_is_refused() -> None:
    model = _student("bert")
    inside, boundary = [site(model, "mlp_output")], [site(model, "block_output")]
    part = model.run(BASE, [*hook_points_needed(model, inside), *hook_points_needed(model, boundary)])
    part = replace(part, generator_states={})
    with pytest.raises(
        ValueError, match=r"knows no random state at the entry of block 1.*make the base run in train mode"
    ):
        interchange(model, inside, part, part.source_activations(), every_position(BASE))
    interchange(model, boundary, part, part.source_activations(), every_position(BASE))
