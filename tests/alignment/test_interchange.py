"""The interchange against its definition: plain hooks over two whole forwards, for every architecture and component."""

from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformer_lens.tools.analysis.interchange import random_basis
from transformers import Qwen2Config, Qwen2ForCausalLM

from causalkd.alignment.basis import Basis
from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.positions import Positions
from causalkd.models.hooks.forward import SourceActivations
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from tests.alignment.interventions import (
    BASE,
    PAIRS,
    SOURCE,
    doubled,
    every_position,
    gradients,
    hooked,
    oracle,
    positions,
    shared,
    site,
)
from tests.oracles.interchange import Pairs
from tests.tiny import ARCHITECTURES, MODELS, tiny_inputs

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def _doubled(architecture: str = "bert", task: Task | None = None) -> HookedModel:
    return shared(architecture, task, dtype=torch.float64)


def _compare(
    model: HookedModel,
    sites: list[ResolvedSite],
    base: dict[str, Tensor] = BASE,
    source: dict[str, Tensor] = SOURCE,
    pairs: Pairs = PAIRS,
) -> None:
    fast = interchange(model, sites, base, source, positions(pairs))
    slow = oracle(model, sites, base, source, pairs)
    torch.testing.assert_close(fast.logits, slow[0], **CLOSE)
    torch.testing.assert_close(fast.hidden, slow.hidden_states[-1], **CLOSE)
    assert not torch.allclose(fast.logits, model.run(base).logits), "the interchange changed nothing"
    weights = torch.linspace(-1, 1, slow[0].numel(), dtype=torch.float64).reshape(slow[0].shape)
    mine, expected = (gradients(model, (logits * weights).sum()) for logits in (fast.logits, slow[0]))
    for (name, _), one, other in zip(model.model.named_parameters(), mine, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_gradients_equal_plain_hooks(architecture: str, component: str) -> None:
    model = _doubled(architecture)
    _compare(model, [site(model, component)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_left_padding(architecture: str) -> None:
    model = _doubled(architecture)
    base, source = tiny_inputs(4, 10, side="left"), tiny_inputs(4, 8, seed=1, side="left")
    if architecture in ("gpt2", "gpt_neox", "llama", "qwen2"):  # whose stock forwards count from the edge of the row
        for inputs in (base, source):
            inputs["position_ids"] = torch.stack(
                [torch.arange(len(m)) - int(m.argmax()) for m in inputs["attention_mask"]]
            )
            inputs["position_ids"].clamp_(min=0)
    _compare(model, [site(model)], base, source, [[(0, 3), (9, 7)], [(2, 2)], [], [(4, 4), (5, 3), (9, 7)]])


@pytest.mark.parametrize(("architecture", "task"), [model for model in MODELS if model[1] != "question_answering"])
def test_every_head(architecture: str, task: Task) -> None:
    model = _doubled(architecture, task)
    _compare(model, [site(model)], pairs=[[(0, 3), (9, 7)], [(0, 0), (8, 6)], [(0, 1), (7, 5)], [(0, 4), (6, 1)]])


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_blocks_of_different_kinds(layer: int) -> None:
    """Qwen2 reads by index which of its blocks look through a window; here it is shorter than the rows."""
    model = _doubled("qwen2")
    config = Qwen2Config(**{**model.model.config.to_dict(), "use_sliding_window": True, "sliding_window": 3})
    config.layer_types = ["full_attention", "sliding_attention", "full_attention"]
    windowed = HookedModel(Qwen2ForCausalLM(config).double().eval(), task="causal_lm", role="student")
    windowed.model.load_state_dict(model.model.state_dict())
    assert not torch.allclose(windowed.run(BASE).logits, model.run(BASE).logits)
    for component in ("block_output", "mlp_output"):
        _compare(windowed, [site(windowed, component, layer)])


def test_token_types_reach_the_counterfactual() -> None:
    model = _doubled("bert")
    _compare(model, [site(model)], tiny_inputs(4, 10, types=True), tiny_inputs(4, 8, seed=1, types=True))


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("component", COMPONENTS[1:])
def test_the_first_and_the_last_layer(component: str, layer: int) -> None:
    for architecture in ("bert", "gpt2"):
        model = _doubled(architecture)
        _compare(model, [site(model, component, layer)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_several_sites(architecture: str) -> None:
    """Each receives what the source's own run has there, although an earlier site changed what enters the later one."""
    model = _doubled(architecture)
    _compare(model, [site(model, "block_output", 1), site(model, "attention_output", 0)])
    _compare(model, [site(model, "mlp_output", 1), site(model, "attention_output", 1), site(model, "block_input", 2)])
    _compare(model, [site(model, "token_embedding"), site(model, "block_output", 2)])


@pytest.mark.parametrize("component", COMPONENTS)
def test_columns(component: str) -> None:
    for architecture in ("bert", "opt"):
        model = _doubled(architecture)
        chosen = {"subspace_partition": ((0, 3), (3, 6), (6, 8)), "subspaces": (2, 0)}
        _compare(model, [site(model, component, **chosen)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_heads(architecture: str) -> None:
    model = _doubled(architecture)
    heads = site(model, "head_attention_value_output", heads=(3, 1))
    assert heads.columns is not None and heads.columns.tolist() == [*range(24, 32), *range(8, 16)]
    _compare(model, [heads])
    inside = site(model, "head_attention_value_output", heads=(2,), subspace_partition=((2, 5),))
    assert inside.columns is not None and inside.columns.tolist() == [18, 19, 20]
    _compare(model, [inside])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_separate_source_site(architecture: str) -> None:
    """As in the DIITO release, one block early; and columns of one hook point into other columns of another."""
    model = _doubled(architecture)
    _compare(model, [site(model, source={"layer": 1, "component": "block_input"})])
    other = {"layer": 2, "component": "mlp_output", "subspace_partition": ((20, 24),)}
    _compare(model, [site(model, "attention_output", 0, subspace_partition=((1, 5),), source=other)])


@pytest.mark.parametrize("component", ["block_output", "mlp_output", "token_embedding"])
def test_directions(component: str) -> None:
    """Two directions of a hook point; and directions of one hook point into as many of another."""
    for architecture in ("bert", "opt", "llama"):
        model = _doubled(architecture)
        first, second = (Basis.of(random_basis(model.width, 2, seed).numpy()) for seed in (0, 1))
        _compare(model, [site(model, component, basis=first)])
        _compare(model, [site(model, basis=first, source={"layer": 2, "component": "mlp_output", "basis": second})])


def _exactly_orthonormal(width: int) -> np.ndarray:
    """Directions that each mix 16 entries and of which float32 rounds nothing off: rows of Hadamard's matrix, / 4."""
    two = np.array([[1.0, 1.0], [1.0, -1.0]])
    four = np.kron(two, two)
    return np.kron(np.eye(width // 16), np.kron(four, four) / 4)


def test_every_direction_is_the_whole_hook_point() -> None:
    model = _doubled("bert")
    columns = _exactly_orthonormal(model.width)
    assert (columns.T @ columns == np.eye(model.width)).all() and (np.abs(columns) == 0.25).any(0).all()
    whole, turned = site(model), site(model, basis=Basis.of(columns))
    given = (BASE, SOURCE, positions(PAIRS))
    expected = interchange(model, [whole], *given).logits
    torch.testing.assert_close(interchange(model, [turned], *given).logits, expected, **CLOSE)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_source_equal_to_base_changes_nothing(architecture: str, component: str) -> None:
    model = shared(architecture)
    one = site(model, component)
    run = model.run(BASE, hook_points_needed(model, [one]))
    for base, source in ((BASE, BASE), (run, run), (run, run.source_activations())):
        assert torch.equal(interchange(model, [one], base, source, every_position(BASE)).logits, run.logits)
    nothing = positions([[], [], [], []])
    assert torch.equal(interchange(model, [one], run, SOURCE, nothing).logits, run.logits)


@pytest.mark.parametrize("task", ["lm", "classification"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_position_of_the_last_block_gives_the_source_run(architecture: str, task: str) -> None:
    model = shared(architecture, None if task == "lm" else "classification")
    source = {**BASE, "input_ids": BASE["input_ids"].roll(1, 1).where(BASE["attention_mask"].bool(), 1)}
    run = interchange(model, [site(model, layer=2)], BASE, source, every_position(BASE))
    counted = BASE["attention_mask"].bool() if task == "lm" else slice(None)
    expected = model.run(source)
    assert not torch.equal(model.run(BASE).logits[counted], expected.logits[counted])
    assert torch.equal(run.logits[counted], expected.logits[counted])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_never_mix(architecture: str) -> None:
    model = shared(architecture)
    one = [site(model)]
    expected = interchange(model, one, BASE, SOURCE, positions(PAIRS)).logits
    for changed, row in (("base", 0), ("source", 3)):
        base, source = ({name: tensor.clone() for name, tensor in each.items()} for each in (BASE, SOURCE))
        ids = (base if changed == "base" else source)["input_ids"]
        ids[row, :5] = (ids[row, :5] + 7) % 90
        logits = interchange(model, one, base, source, positions(PAIRS)).logits
        others = [other for other in range(4) if other != row]
        assert torch.equal(logits[others], expected[others])
        assert not torch.equal(logits[row], expected[row])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_source_in_the_batch_equals_a_separate_source(architecture: str) -> None:
    model = doubled(architecture)
    _norm_exactly(model)
    one, rows = [site(model, "mlp_output")], torch.tensor([1, 3, 0, 2])
    source = {name: tensor[rows] for name, tensor in BASE.items()}
    run = model.run(BASE, hook_points_needed(model, one))
    inside = interchange(model, one, run, run.source_activations(rows), positions(PAIRS))
    outside = interchange(model, one, BASE, source, positions(PAIRS))
    torch.testing.assert_close(inside.logits, outside.logits, **CLOSE)
    for mine, expected in zip(*(gradients(model, r.logits.square().sum()) for r in (inside, outside)), strict=True):
        torch.testing.assert_close(mine, expected, **CLOSE)


def _norm_exactly(model: HookedModel) -> None:
    """Llama's and Qwen2's norms compute in float32 whatever the model's type, so the order of sums would show there."""

    def norm(module: Any, hidden: Tensor) -> Tensor:
        return module.weight * hidden * (hidden.square().mean(-1, keepdim=True) + module.variance_epsilon).rsqrt()

    for module in model.model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(norm, module)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kept_activations_are_the_counterfactuals(architecture: str) -> None:
    """Activations are those of base before the site, the written ones at the site, and their consequences after it."""
    model = _doubled(architecture)
    one = site(model, "mlp_output", 1)
    run = interchange(model, [one], BASE, SOURCE, positions(PAIRS), keep=model.hook_points())
    base, source = model.run(BASE, model.hook_points()), model.run(SOURCE, [one.hook_point])
    assert set(run.activations) == set(model.hook_points())
    for hook_point in model.hook_points():
        if hook_point.depth < one.hook_point.depth:
            torch.testing.assert_close(run.activations[hook_point], base.activations[hook_point], **CLOSE)
    at, given = run.activations[one.hook_point], source.activations[one.hook_point]
    assert all(torch.equal(at[row, b], given[row, s]) for row, pairs in enumerate(PAIRS) for b, s in pairs)
    module = model.model.get_submodule(model.hook_point("attention_output", 2).module)
    entering, leaving = (
        run.activations[model.hook_point(c, 2)] for c in ("attention_value_output", "attention_output")
    )
    torch.testing.assert_close(module(entering), leaving, **CLOSE)


def test_filler_is_never_used() -> None:
    """Filler points at position 0, which a real pair may write as well."""
    model = _doubled()
    filled = Positions(torch.tensor([[0, 0]]), torch.tensor([[3, 0]]), torch.tensor([[True, False]]))
    base, source = ({name: tensor[:1] for name, tensor in each.items()} for each in (BASE, SOURCE))
    expected = oracle(model, [site(model)], base, source, [[(0, 3)]])[0]
    torch.testing.assert_close(interchange(model, [site(model)], base, source, filled).logits, expected, **CLOSE)


def test_source_activations_may_be_given_alone() -> None:
    model = _doubled()
    one = site(model)
    given = model.run(SOURCE, [one.hook_point]).activations[one.hook_point].detach()
    source_activations = SourceActivations({one.hook_point: given}, SOURCE["attention_mask"])
    run = interchange(model, [one], BASE, source_activations, positions(PAIRS))
    torch.testing.assert_close(run.logits, oracle(model, [one], BASE, SOURCE, PAIRS)[0], **CLOSE)


def test_the_teacher_has_no_graph_and_stays_as_it_was() -> None:
    teacher = hooked("bert", role="teacher", dropout=0.5)
    before = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    teacher.model.train()  # whatever happens around it
    for component in ("block_output", "mlp_output"):
        one = [site(teacher, component)]
        run = teacher.run(BASE, hook_points_needed(teacher, one))
        teacher.model.train()
        again = interchange(teacher, one, run, run.source_activations(), every_position(BASE))
        assert torch.equal(again.logits, run.logits) and not again.logits.requires_grad
    assert not teacher.model.training and not any(p.requires_grad for p in teacher.model.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in teacher.model.state_dict().items())
