"""Attributions in the graph of a run: equal, value and gradient, to keeping every step's graph; dropout repeated."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from causalkd.attribution.differentiable import run_from, traced_attributions
from causalkd.attribution.integrated_gradients import integrated_gradients
from causalkd.attribution.targets import Target, Views, class_views, label_views, view_values
from causalkd.models.hooks.attention import twice_differentiable
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.start_at import entered, entry_hook_points, hook_point_of
from tests.attribution.targets import hooked, shared, views_of
from tests.tiny import tiny_inputs

INPUTS = tiny_inputs(3, 6)


def _at_once(model: HookedModel, views: Views, target: Target, steps: int, name: str | None) -> Tensor:
    """All graphs alive, one backward a view."""
    hook_point = hook_point_of(model, name)
    hook_points = entry_hook_points(model, hook_point)
    with twice_differentiable(model):
        run = model.run(INPUTS, hook_points)
        here, *boundary = (run.activations[each] for each in hook_points)
        total = torch.zeros(())
        for step in range(1, steps + 1):
            leaf, logits = here, run.logits
            if step < steps:
                leaf = step / steps * here
                with entered(model, hook_point, leaf, *boundary):
                    logits = model.run(INPUTS).logits
            values = view_values(logits, views, target).sum(1)
            total = total + torch.stack([torch.autograd.grad(v, leaf, create_graph=True)[0] for v in values])
    return here * total / steps


def _traced(model: HookedModel, views: Views, target: Target, steps: int, name: str | None) -> Tensor:
    hook_point = hook_point_of(model, name)
    with twice_differentiable(model):
        run = model.run(INPUTS, entry_hook_points(model, hook_point))
        return traced_attributions(
            model, run, run.logits, views, hook_point=hook_point, steps=steps, target=target, differentiable=True
        )


def _gradients(model: HookedModel, make: Callable[[], Tensor]) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(0)
    values = make()
    weight = torch.randn(values.shape, dtype=values.dtype, generator=torch.Generator().manual_seed(1))
    model.model.zero_grad()
    (values * weight).sum().backward()
    return values.detach(), [p.grad for p in model.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("target", ["loss", "probability", "logit"])
@pytest.mark.parametrize("name", [None, "blocks.0.attn.o.hook_out", "embed.hook_out", "blocks.0.hook_out"])
def test_step_by_step_is_at_once(name: str | None, target: Target, dropout: float) -> None:
    model, views = shared(role="student", dropout=dropout), class_views(3, 3)
    model.model.train()
    ours, mine = _gradients(model, lambda: _traced(model, views, target, 3, name))
    theirs, expected = _gradients(model, lambda: _at_once(model, views, target, 3, name))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert len(mine) == len(expected) and max(each.abs().max() for each in mine) > 1e-3
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_many_steps_of_half_precision_are_added_up_in_float32() -> None:
    """In a graph, in the gradient of the weights, and without a graph."""
    model, views, name = hooked(role="student"), label_views(torch.tensor([0, 2, 1])), "blocks.1.hook_in"
    model.model.bfloat16().double()
    place = hook_point_of(model, name)

    def found() -> list[Tensor]:
        model.model.zero_grad()
        values = _traced(model, views, "loss", 64, name)
        values.abs().sum().backward()
        of_weights = [each.grad.flatten() for each in model.model.parameters() if each.grad is not None]
        run = run_from(model, INPUTS, place, ())
        taught = traced_attributions(model, run, run.logits, views, hook_point=place, steps=64)
        return [values.detach(), torch.cat(of_weights), taught]

    expected = found()
    model.model.bfloat16()
    for one, other, error in zip(found(), expected, (0.015, 0.02, 0.015), strict=True):
        assert (one - other).norm() / other.norm() < error


@pytest.mark.parametrize("target", ["loss", "probability"])
def test_a_sure_students_map_under_autocast(target: Target) -> None:
    """What is lost in float16 is a slope of 1e-6; the map by its norm, as AD-KD takes it, does not depend on it."""
    model, views = hooked(role="student"), label_views(torch.tensor([0, 0, 0]))
    model.model.float()
    with torch.no_grad():
        model.model.get_parameter("classifier.bias")[0] += 14

    def found() -> list[Tensor]:
        model.model.zero_grad()
        values = _traced(model, views, target, 1, None).float()
        (values / values.detach().norm()).abs().sum().backward()
        of_weights = [each.grad.flatten() for each in model.model.parameters() if each.grad is not None]
        return [values.detach(), torch.cat(of_weights)]

    expected = found()
    with torch.autocast("cpu", dtype=torch.float16):
        ours = found()
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


def test_dropout_goes_on_as_if_nothing_had_been_repeated() -> None:
    model, states = hooked(role="student", dropout=0.3), []
    model.model.train()
    for repeat in (False, True):
        torch.manual_seed(0)
        values = _traced(model, class_views(3, 3), "loss", 3, None)
        if repeat:
            values.sum().backward()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_blocks_may_be_checkpointed() -> None:
    model = hooked(role="student", dropout=0.3)
    model.model.train()
    expected = _gradients(model, lambda: _traced(model, class_views(3, 3), "loss", 3, None))
    model.model.activation_checkpointing_enable({"use_reentrant": False})
    found = _gradients(model, lambda: _traced(model, class_views(3, 3), "loss", 3, None))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_hook_point_before_which_nothing_is_trained() -> None:
    model = hooked(role="student")
    model.model.get_submodule("bert.embeddings").requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"no parameter before blocks\.0\.hook_in of .* is trained, so a training run has no"
    ):
        _traced(model, class_views(3, 3), "loss", 1, None)
    assert _traced(model, class_views(3, 3), "loss", 2, "blocks.1.hook_in").requires_grad


@pytest.mark.parametrize("steps", [1, 2])
def test_frozen_embeddings_teach_what_comes_after_them_all_the_same(steps: int) -> None:
    def of_blocks(model: HookedModel) -> list[Tensor]:
        _traced(model, class_views(3, 3), "loss", steps, None).square().sum().backward()
        found = [each.grad for each in model.blocks.parameters()]
        return [each for each in found if each is not None]

    expected = of_blocks(hooked(role="student"))
    frozen = hooked(role="student")
    frozen.model.get_submodule("bert.embeddings").requires_grad_(False)
    frozen.model.enable_input_require_grads()
    found = of_blocks(frozen)
    assert len(found) == len(expected) > 10
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_gradcheck() -> None:
    model = hooked(role="student")
    hook_point = model.hook_point("block_input", 0)
    here = model.run(INPUTS, [hook_point]).activations[hook_point].detach().requires_grad_()
    parameters = [model.model.get_parameter("classifier.weight"), next(iter(model.blocks[1].parameters()))]

    def function(here: Tensor, *_: Tensor) -> Tensor:
        with twice_differentiable(model):
            with entered(model, hook_point, here):
                logits = model.run(INPUTS).logits
            run = ForwardOutput(INPUTS, logits, here, {hook_point: here})
            values = traced_attributions(
                model, run, logits, class_views(3, 3), hook_point=hook_point, steps=2, differentiable=True
            )
        return torch.linalg.vector_norm(values, dim=-1)

    assert torch.autograd.gradcheck(function, (here, *parameters), fast_mode=True)


@pytest.mark.parametrize(("architecture", "task"), [("bert", "classification"), ("gpt2", "causal_lm")])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_teachers_run_is_its_last_step(architecture: str, task: str, steps: int) -> None:
    model = hooked(architecture, task)  # type: ignore[arg-type]
    views, hook_point, ran = views_of(model, INPUTS), model.hook_point("block_input", 0), []
    model.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    run = run_from(model, INPUTS, hook_point, ())
    logits = run.logits if views.position is None else run.logits[torch.arange(3), views.position]
    found = traced_attributions(model, run, logits, views, hook_point=hook_point, steps=steps)
    assert len(ran) == steps and not found.requires_grad
    expected = integrated_gradients(model, INPUTS, views, steps=steps, target="loss").values
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert all(p.grad is None and not p.requires_grad for p in model.model.parameters())
    assert torch.equal(run.logits, model.run(INPUTS).logits)


def test_without_a_graph_the_path_is_walked() -> None:
    model, views = hooked(role="student"), label_views(torch.tensor([2, 0, 1]))
    hook_point = model.hook_point("block_input", 0)
    with torch.no_grad():
        run = model.run(INPUTS, [hook_point])
        found = traced_attributions(model, run, run.logits, views, hook_point=hook_point, steps=2)
    expected = integrated_gradients(model, INPUTS, views, steps=2, target="loss").values
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_nothing_stays_after_a_model_that_raises() -> None:
    model = hooked(role="student")
    values = _traced(model, class_views(3, 3), "loss", 3, None)
    handle = model.blocks[1].register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        values.sum().backward()
    handle.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())
    assert model.model.config._attn_implementation == "sdpa" and torch.equal(torch.get_rng_state(), before)
