"""An interchange with gradient checkpointing gives the same gradients as without, on every architecture."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.models.hooks.gradient_checkpointing import in_every_forward, is_repeated
from causalkd.models.hooks.hooked_model import HookedModel
from tests.alignment.interventions import BASE, PAIRS, SOURCE, hooked, positions, site
from tests.tiny import ARCHITECTURES

INSIDE = ("attention_value_output", "attention_output", "mlp_output")
BOUNDARIES = ("token_embedding", "block_input", "block_output")


def _student(architecture: str = "bert", dropout: float = 0.0, **checkpointing: Any) -> HookedModel:
    model = hooked(architecture, dtype=torch.float64, dropout=dropout)
    model.model.train()
    if checkpointing:
        model.model.activation_checkpointing_enable(checkpointing)
    return model


def _step(model: HookedModel, component: str, inside: bool) -> tuple[Tensor, list[Tensor | None]]:
    torch.manual_seed(0)
    sites = [site(model, component)]
    run = model.run(BASE, hook_points_needed(model, sites))
    source = run.source_activations(torch.tensor([1, 0, 3, 2])) if inside else SOURCE
    pairs = PAIRS if not inside else [[(0, 3), (8, 7)], [(2, 2)], [], [(1, 4), (2, 0), (6, 1)]]
    after = interchange(model, sites, run, source, positions(pairs))
    loss = run.logits.square().mean() + after.logits.square().mean()
    loss.backward()
    return loss.detach(), [parameter.grad for parameter in model.model.parameters()]


def _assert_same(one: HookedModel, other: HookedModel, component: str, inside: bool = True) -> None:
    (loss, gradients), (expected_loss, expected) = (_step(model, component, inside) for model in (one, other))
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("component", [*INSIDE, "block_output"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradients_are_those_without(architecture: str, component: str) -> None:
    repeated = _student(architecture, use_reentrant=False)
    assert all(is_repeated(block) for block in repeated.blocks)
    _assert_same(repeated, _student(architecture), component)


@pytest.mark.parametrize("component", [*INSIDE, *BOUNDARIES])
def test_dropout(component: str) -> None:
    """A repeated block draws the dropout of its first forward, replayed up to the site and new after it."""
    _assert_same(_student(dropout=0.3, use_reentrant=False), _student(dropout=0.3), component)


@pytest.mark.parametrize("component", [*INSIDE, *BOUNDARIES])
def test_separate_sources(component: str) -> None:
    """A read inside a repeated block ends after the block, not half-way."""
    _assert_same(_student(use_reentrant=False), _student(), component, inside=False)


@pytest.mark.parametrize("component", BOUNDARIES)
def test_reentrant_checkpointing_between_blocks(component: str) -> None:
    _assert_same(_student(use_reentrant=True), _student(), component)


def test_reentrant_checkpointing_inside_a_block_is_refused() -> None:
    model = _student(use_reentrant=True)
    with pytest.raises(ValueError, match=r"reentrant, so a block runs without a graph .*'use_reentrant': False"):
        _step(model, "mlp_output", inside=True)
    assert not any(module._forward_hooks for module in model.blocks.modules())


def test_nothing_is_left_behind_and_repetition_still_finds_its_hooks() -> None:
    model = _student(use_reentrant=False)
    before = [vars(block)["_gradient_checkpointing_func"] for block in model.blocks]
    sites = [site(model, "mlp_output")]
    run = model.run(BASE, hook_points_needed(model, sites))
    kept = dict(run.activations)
    after = interchange(
        model, sites, run, run.source_activations(torch.tensor([1, 0, 3, 2])), positions([[], [(0, 0)], [], []])
    )

    def hooks() -> list[object]:
        return [hook for module in model.model.modules() for hook in module._forward_hooks.values()]

    rest = hooks()
    assert [vars(block)["_gradient_checkpointing_func"] for block in model.blocks] == before
    after.logits.sum().backward()
    assert hooks() == rest
    assert all(run.activations[hook_point] is tensor for hook_point, tensor in kept.items())


def test_a_block_that_raises_is_put_back() -> None:
    block = _student(use_reentrant=False).blocks[1]
    before = vars(block)["_gradient_checkpointing_func"]
    with pytest.raises(ZeroDivisionError), in_every_forward(block, partial(pytest.raises, KeyError)):
        raise ZeroDivisionError
    assert vars(block)["_gradient_checkpointing_func"] is before


@pytest.mark.parametrize("component", [*INSIDE, "block_output"])
def test_a_teacher_repeats_nothing_whatever_mode_its_blocks_are_in(component: str) -> None:
    """Its forward turns evaluation on after the hooks have been put in."""
    teacher = hooked("bert", role="teacher", dtype=torch.float64)
    sites = [site(teacher, component)]
    run, source_activations = (
        teacher.run(BASE, hook_points_needed(teacher, sites)),
        teacher.read(SOURCE, [sites[0].hook_point]),
    )
    expected = interchange(teacher, sites, run, source_activations, positions(PAIRS)).logits
    assert not torch.equal(expected, run.logits)
    for reentrant in (True, False):
        teacher.model.activation_checkpointing_enable({"use_reentrant": reentrant})
        teacher.model.train()
        assert torch.equal(interchange(teacher, sites, run, source_activations, positions(PAIRS)).logits, expected)
        teacher.model.train()
        assert set(teacher.read(SOURCE, [sites[0].hook_point]).activations) == {sites[0].hook_point}


def test_nothing_is_repeated_outside_training() -> None:
    model = _student(use_reentrant=False)
    model.model.eval()
    assert not any(is_repeated(block) for block in model.blocks)
