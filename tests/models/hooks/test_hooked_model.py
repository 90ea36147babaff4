"""HookedModel: hook points are read and replaced, nothing is left behind, the teacher is frozen, checkpoints are
stock."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.task_types import Task
from tests.tiny import ARCHITECTURES, MODELS, TASKS_OF, tiny, tiny_inputs

INPUTS = tiny_inputs()


def _hooked(
    architecture: str = "bert", task: Task | None = None, role: Role = "student", dropout: float = 0.0
) -> HookedModel:
    task = task or TASKS_OF[architecture][0]
    return HookedModel(tiny(architecture, task, dropout=dropout), task=task, role=role)


def _hooks(model: nn.Module) -> list[tuple[object, ...]]:
    modules = list(model.modules())
    return [(*m._forward_hooks.values(), *m._forward_pre_hooks.values(), *m._backward_hooks.values()) for m in modules]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_hook_sees_and_replaces_every_hook_point(architecture: str) -> None:
    model = _hooked(architecture)
    plain = model.run(INPUTS).logits
    for hook_point in model.hook_points():
        seen: list[Tensor] = []
        with model.hooks([(hook_point, seen.append)]):
            assert torch.equal(model.run(INPUTS).logits, plain), f"looking at {hook_point.name} changed the logits"
        assert seen[0].shape == (*INPUTS["input_ids"].shape, hook_point.width)
        with model.hooks([(hook_point, lambda tensor: tensor + torch.linspace(0, 1, tensor.shape[-1]))]):
            changed = model.run(INPUTS).logits
        assert not torch.allclose(changed, plain), f"replacing {hook_point.name} did nothing"
        assert torch.equal(model.run(INPUTS).logits, plain)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kept_activations_chain(architecture: str) -> None:
    model = _hooked(architecture)
    run = model.run(INPUTS, model.hook_points())
    assert set(run.activations) == set(model.hook_points())
    for layer in range(2):
        following = run.activations[model.hook_point("block_input", layer + 1)]
        assert torch.equal(run.activations[model.hook_point("block_output", layer)], following)
    attention = model.model.get_submodule(model.hook_point("attention_output", 1).module)
    entering, leaving = (
        run.activations[model.hook_point(c, 1)] for c in ("attention_value_output", "attention_output")
    )
    torch.testing.assert_close(attention(entering), leaving)


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_a_run_is_the_stock_forward(architecture: str, task: Task) -> None:
    model = _hooked(architecture, task)
    run, stock = model.run(INPUTS), model.model(**INPUTS, output_hidden_states=True)
    names = ("start_logits", "end_logits") if task == "question_answering" else ("logits",)
    expected = torch.stack([stock[name] for name in names], -1) if len(names) > 1 else stock.logits
    assert torch.equal(run.logits, expected)
    assert torch.equal(run.hidden, stock.hidden_states[-1])
    assert run.activations == {}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("architecture", ["bert", "opt", "qwen2"])
def test_nothing_is_left_behind(architecture: str, error: type[BaseException]) -> None:
    model = _hooked(architecture)
    before, blocks = _hooks(model.model), list(model.blocks)

    def fail(_: Tensor) -> None:
        raise error

    with model.hooks([(hook_point, lambda tensor: tensor) for hook_point in model.hook_points()]):
        model.run(INPUTS, model.hook_points())
    assert _hooks(model.model) == before
    hook_point = model.hook_point("mlp_output", 1)
    hidden = model.run(INPUTS, [model.hook_point("block_output", 0)]).activations[model.hook_point("block_output", 0)]
    for attempt in (model.run, lambda inputs, keep: model.read(inputs, keep), model.run_with_cache):
        keep = [hook_point.name] if attempt == model.run_with_cache else [hook_point]
        with pytest.raises(error), model.resumed(1, hidden), model.hooks([(hook_point, fail)]):
            attempt(INPUTS, keep)
        assert _hooks(model.model) == before
        assert all(one is other for one, other in zip(model.blocks, blocks, strict=True))


def test_a_hook_point_of_another_model_leaves_no_hook() -> None:
    model, other = _hooked("bert"), _hooked("gpt2")
    before = _hooks(model.model)
    for component in ("mlp_output", "attention_output"):
        with (
            pytest.raises(AttributeError),
            model.hooks([(model.hook_point(component, 0), lambda t: t), (other.hook_point(component, 0), lambda t: t)]),
        ):
            pass
    assert _hooks(model.model) == before


def test_hooks_at_one_hook_point_run_in_their_order() -> None:
    model, sums = _hooked(), []

    def look(tensor: Tensor) -> None:
        sums.append(tensor.sum().item())

    hook_point = model.hook_point("block_output", 1)
    with model.hooks([(hook_point, look), (hook_point, lambda tensor: 2 * tensor), (hook_point, look)]):
        model.run(INPUTS)
    assert sums[1] == pytest.approx(2 * sums[0])


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_resuming_equals_a_whole_forward(architecture: str, task: Task) -> None:
    model = _hooked(architecture, task)
    entries = [model.hook_point("block_input", layer) for layer in range(3)]
    last = model.hook_point("block_output", 2)
    whole = model.run(INPUTS, [*entries, last])
    embedding = model.model.get_input_embeddings().weight
    expected = torch.autograd.grad(whole.logits.square().sum(), embedding, retain_graph=True)
    for layer, hook_point in enumerate([*entries, last]):
        with model.resumed(layer, whole.activations[hook_point]):
            resumed = model.run(INPUTS)
        assert torch.equal(resumed.logits, whole.logits)
        assert torch.equal(resumed.hidden, whole.hidden)
        gradient = torch.autograd.grad(resumed.logits.square().sum(), embedding, retain_graph=True)
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reading_stops_at_the_last_hook_point(architecture: str) -> None:
    model, reached = _hooked(architecture), []
    handles = [block.register_forward_hook(lambda *_, n=n: reached.append(n)) for n, block in enumerate(model.blocks)]
    hook_points = [model.hook_point("attention_output", 1), model.hook_point("block_output", 0)]
    found = model.read(INPUTS, hook_points)
    assert reached == [0]
    for handle in handles:
        handle.remove()
    run = model.run(INPUTS, hook_points)
    assert all(torch.equal(found.activations[hook_point], run.activations[hook_point]) for hook_point in hook_points)
    assert torch.equal(found.attention_mask, INPUTS["attention_mask"])
    # A forward that was cut short leaves transformers' own recording of hidden states whole.
    assert len(model.model(**INPUTS, output_hidden_states=True).hidden_states) == 4


def test_the_cache_keeps_gradients_when_asked() -> None:
    model = _hooked()
    names = ["blocks.1.hook_out", "embed.hook_out"]
    logits, cache = model.run_with_cache(INPUTS, names, gradients=True)
    assert list(cache) == names
    (gradient,) = torch.autograd.grad(logits.sum(), cache["blocks.1.hook_out"])
    assert gradient.abs().sum() > 0
    logits, cache = model.run_with_cache(INPUTS)
    assert set(cache) == {hook_point.name for hook_point in model.hook_points()}
    assert not logits.requires_grad and not any(tensor.requires_grad for tensor in cache.values())


def test_the_cache_names_every_wrong_name() -> None:
    with pytest.raises(ValueError) as caught:
        _hooked().run_with_cache(INPUTS, ["blocks.1.hook_out", "blocks.1.hook_outt", "embedd.hook_out"])
    assert str(caught.value).splitlines() == [
        "'blocks.1.hook_outt' is not a hook point of BertForMaskedLM; did you mean blocks.1.hook_out?",
        "'embedd.hook_out' is not a hook point of BertForMaskedLM; did you mean embed.hook_out?",
    ]


@pytest.mark.parametrize(
    ("component", "layer", "message"),
    [
        ("block_ouput", 0, "component 'block_ouput' does not exist; did you mean block_output?"),
        ("block_output", 3, "block_output of layer 3 does not exist; BertForMaskedLM has block_output in layers 0–2"),
        ("token_embedding", 1, "BertForMaskedLM has token_embedding in layer 0"),
    ],
)
def test_a_hook_point_that_does_not_exist(component: str, layer: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _hooked().hook_point(component, layer)


def test_the_teacher_stays_frozen_whatever_happens_around_it() -> None:
    teacher = _hooked("bert", role="teacher", dropout=0.5)
    expected = teacher.run(INPUTS).logits
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    hook_point = teacher.hook_point("block_output", 1)
    for use in (lambda: teacher.run(INPUTS, [hook_point]), lambda: teacher.run_with_cache(INPUTS, gradients=True)):
        teacher.model.train().requires_grad_(True)
        use()
        assert not teacher.model.training
    teacher.model.train().requires_grad_(True)
    assert not teacher.training
    assert not teacher.read(INPUTS, [hook_point]).activations[hook_point].requires_grad
    teacher.model.train()
    run = teacher.run(INPUTS, [teacher.hook_point("block_input", 1)])
    assert torch.equal(run.logits, expected) and not run.logits.requires_grad
    assert run.generator_states == {}


def test_a_teacher_that_was_set_to_save_memory_in_training_keeps_what_is_inside_its_blocks() -> None:
    teacher = _hooked("bert", role="teacher", dropout=0.5)
    logits, cache = teacher.run_with_cache(INPUTS)
    teacher.model.activation_checkpointing_enable()
    teacher.model.train()
    again, kept = teacher.run_with_cache(INPUTS)
    assert torch.equal(again, logits) and cache.keys() == kept.keys()
    assert all(torch.equal(cache[name], kept[name]) for name in cache)


def test_a_student_follows_its_mode() -> None:
    student = _hooked("bert", dropout=0.5)
    assert not student.training and torch.equal(student.run(INPUTS).logits, student.run(INPUTS).logits)
    student.model.train()
    assert student.training and not torch.equal(student.run(INPUTS).logits, student.run(INPUTS).logits)
    assert student.run(INPUTS).logits.requires_grad


def test_a_forward_of_ones_own_is_called() -> None:
    student, called = _hooked(), []

    def wrapper(**inputs: Tensor) -> object:
        called.append(sorted(inputs))
        return student.model(**inputs)

    run = student.run(INPUTS, [student.hook_point("block_output", 0)], forward=wrapper)
    assert called == [["attention_mask", "input_ids"]]
    assert torch.equal(run.logits, student.run(INPUTS).logits) and run.activations


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_bridge_agrees_at_every_hook_point(architecture: str) -> None:
    model = _hooked(architecture)
    weights = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    attention, bridge = model.model.config._attn_implementation, model.bridge()
    hook_points: dict[str, HookPoint] = {hook_point.name: hook_point for hook_point in model.hook_points()}
    logits, ours = model.run_with_cache(INPUTS)
    theirs, cache = bridge.run_with_cache(
        INPUTS["input_ids"], attention_mask=INPUTS["attention_mask"], names_filter=list(hook_points)
    )
    counted = INPUTS["attention_mask"].bool()
    torch.testing.assert_close(theirs[counted], logits[counted], rtol=1e-4, atol=1e-4)
    for name in hook_points:
        shared = cache[name].reshape(ours[name].shape)  # OPT flattens there, too
        torch.testing.assert_close(shared[counted], ours[name][counted], rtol=1e-4, atol=1e-4, msg=name)
    # The bridge stands on a copy: the model itself is as it was, and is still a stock model.
    assert list(model.model.state_dict()) == list(weights)
    assert all(torch.equal(weights[name], weight) for name, weight in model.model.state_dict().items())
    assert model.model.config._attn_implementation == attention
    assert torch.equal(model.run(INPUTS).logits, logits)


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_a_saved_model_is_a_stock_checkpoint(architecture: str, task: Task, tmp_path: Path) -> None:
    model = _hooked(architecture, task)
    with model.hooks([(hook_point, lambda tensor: tensor) for hook_point in model.hook_points()]):
        model.run(INPUTS)
    model.bridge()
    model.save_pretrained(tmp_path)
    stock = getattr(transformers, model.architecture).from_pretrained(tmp_path)
    saved, loaded = model.model.state_dict(), stock.state_dict()
    assert list(saved) == list(loaded)
    for name, weight in saved.items():
        assert weight.dtype == loaded[name].dtype and torch.equal(weight, loaded[name]), name
    assert torch.equal(stock.eval()(**INPUTS)[0], model.model(**INPUTS)[0])
    assert "causalkd" not in (tmp_path / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("architecture", "task"), [each for each in MODELS if each[1] in TOKEN_TASKS])
def test_a_head_predicts_where_it_is_asked_to(architecture: str, task: Task) -> None:
    model = _hooked(architecture, task)
    entry = model.hook_point("block_input", 1)
    whole, at = model.run(INPUTS, [entry]), torch.tensor([11, 0, 3, 26])
    with model.resumed(1, whole.activations[entry]):
        resumed = model.run(INPUTS, logits_at=at)
    for run in (model.run(INPUTS, logits_at=at), resumed):
        torch.testing.assert_close(run.logits, whole.logits.flatten(0, 1)[at], rtol=1e-5, atol=1e-5)
        assert torch.equal(run.hidden, whole.hidden)
        gradients = [
            torch.autograd.grad(logits.square().sum(), list(model.model.parameters()), allow_unused=True)
            for logits in (run.logits, model.run(INPUTS).item_logits[at])
        ]
        for mine, expected in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)
    assert model.run(INPUTS, logits_at=at[:0]).logits.shape == (0, whole.logits.shape[-1])


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_forward_pass_starts_at_a_block_that_there_is(layer: int) -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="student")
    with (
        pytest.raises(ValueError, match=rf"a forward pass cannot start at block {layer}; there are blocks 0–2"),
        model.resumed(layer, torch.zeros(2, 6, 32)),
    ):
        pass
