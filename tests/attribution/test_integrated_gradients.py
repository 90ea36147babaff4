"""Integrated gradients against a loop of plain hooks; completeness; nothing left behind."""

import pytest
import torch
from torch import Tensor

from causalkd.attribution import integrated_gradients as integrated
from causalkd.attribution.integrated_gradients import integrated_gradients
from causalkd.attribution.targets import Target, class_views, label_views, view_values
from causalkd.models.hooks.attention import attention_of
from causalkd.models.hooks.start_at import entered
from tests.attribution.targets import hooked, shared, target_of, views_of
from tests.data.tiny_tokenizers import bert_like
from tests.oracles.gradients import slow_gradients
from tests.tiny import ENCODERS, LABELS, MODELS, PAD, tiny_inputs

HEADS = [pair for pair in MODELS if pair[1] not in ("question_answering", "multi_label")]
INPUTS = tiny_inputs(4, 10)
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("target", ["probability", "log_probability", "logit", "loss"])
@pytest.mark.parametrize("hook_point", [None, "blocks.1.hook_in", "blocks.0.attn.o.hook_out", "embed.hook_out"])
def test_equal_to_a_loop(target: Target, hook_point: str | None) -> None:
    model = shared()
    named = hook_point or "blocks.0.hook_in"
    (at,) = (each for each in model.hook_points() if each.name == named)
    for views in (class_views(3, 4), label_views(torch.tensor([0, 2, 1, 1]))):
        found = integrated_gradients(model, INPUTS, views, hook_point=hook_point, steps=3, target=target)
        expected = slow_gradients(model, INPUTS, views, target, 3, at.module, at.side)
        torch.testing.assert_close(found.values, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("architecture", "task"), HEADS)
def test_every_head_at_equal_terms(architecture: str, task: str) -> None:
    """A zero baseline with one step is input × gradient; padding gets exactly nothing; the role changes nothing."""
    inputs = tiny_inputs(4, 10, side="left" if architecture not in ENCODERS else "right")
    found = []
    for role in ("teacher", "student"):
        model = shared(architecture, task, role)  # type: ignore[arg-type]
        at, views, target = model.hook_point("block_input", 0), views_of(model, inputs), target_of(model.task)
        found.append(integrated_gradients(model, inputs, views, steps=1, target=target).values)
        expected = slow_gradients(model, inputs, views, target, 1, at.module, at.side)
        # Llama and Qwen2 normalise in float32 whatever they are given.
        atol = 1e-6 if architecture in ("llama", "qwen2") else 1e-12
        torch.testing.assert_close(found[-1], expected, rtol=1e-10, atol=atol)
        assert not found[-1].requires_grad
    assert torch.equal(*found)
    assert found[0][:, inputs["attention_mask"] == 0].abs().max() == 0


@pytest.mark.parametrize(("architecture", "baseline"), [("bert", "zero"), ("roberta", "mean"), ("gpt2", "mean")])
def test_the_gap_falls_with_the_steps(architecture: str, baseline: str) -> None:
    model = hooked(architecture)
    one = {name: tensor[:1] for name, tensor in INPUTS.items()}
    gaps = [
        integrated_gradients(model, one, class_views(3, 1), steps=steps, baseline=baseline).gap.abs().max()  # type: ignore[arg-type]
        for steps in (16, 32, 64)
    ]
    assert gaps[1] < 0.6 * gaps[0] and gaps[2] < 0.6 * gaps[1] < 0.1


def test_a_position_that_cannot_matter_gets_nothing() -> None:
    model = hooked("gpt2", "causal_lm")
    views = views_of(model, INPUTS)
    values = integrated_gradients(model, INPUTS, views, steps=4).values.sum(-1)
    after = torch.arange(10) > views.position[:, None]
    assert values[:, after].abs().max() == 0 and values[:, ~after].abs().min() > 0


def test_baselines() -> None:
    model = hooked()
    model.tokenizer = bert_like()
    words = {**INPUTS, "input_ids": INPUTS["input_ids"].clamp(max=20)}
    words["input_ids"][0, 2] = model.tokenizer.unk_token_id  # an unknown word is a word of the text
    hook_point = model.hook_point("block_input", 0)
    here = model.run(words, [hook_point]).activations[hook_point]

    def of(baseline: str | Tensor) -> Tensor:
        return integrated_gradients(model, words, class_views(3, 4), steps=2, baseline=baseline).values  # type: ignore[arg-type]

    torch.testing.assert_close(of("zero"), of(torch.zeros(32)))
    counted = words["attention_mask"].bool()
    mean = torch.stack(
        [row[real].mean(0, keepdim=True).expand(10, -1) for row, real in zip(here, counted, strict=True)]
    )
    torch.testing.assert_close(of("mean"), of(mean))
    special = torch.isin(words["input_ids"], torch.tensor(model.tokenizer.convert_tokens_to_ids(SPECIAL)))
    masked = words["input_ids"].where(special, torch.tensor(model.tokenizer.mask_token_id))
    at = model.run({**words, "input_ids": masked}, [hook_point]).activations[hook_point]
    torch.testing.assert_close(of("[MASK]"), of(at))
    assert of("[MASK]")[0, 0, 2].abs().max() > 0


def test_what_cannot_be_attributed() -> None:
    model, views = hooked(), class_views(3, 4)
    with pytest.raises(ValueError, match="steps is 0, but a path has at least 1"):
        integrated_gradients(model, INPUTS, views, steps=0)
    with pytest.raises(ValueError, match=r"'blocks\.9\.hook_in' is not a hook point of BertForSequenceClassification"):
        integrated_gradients(model, INPUTS, views, hook_point="blocks.9.hook_in")
    with pytest.raises(ValueError, match="view 3 is not a class of this head, which has 0–2"):
        integrated_gradients(model, INPUTS, class_views(4, 4))
    with pytest.raises(ValueError, match=r"needs a mask token, and HookedModel\(.*\) has no tokenizer with one"):
        integrated_gradients(model, INPUTS, views, baseline="[MASK]")
    with pytest.raises(ValueError, match=r"the baseline has shape \(7,\), the activation at .* \(4, 10, 32\)"):
        integrated_gradients(model, INPUTS, views, baseline=torch.zeros(7))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())


def test_a_student_in_train_mode_is_explained_without_dropout_and_stays_so() -> None:
    model = hooked(role="student", dropout=0.5)
    expected = integrated_gradients(model, INPUTS, class_views(3, 4), steps=2)
    model.model.train()
    found = integrated_gradients(model, INPUTS, class_views(3, 4), steps=2)
    assert torch.equal(found.values, expected.values) and model.model.training
    assert found.attention == attention_of(model) == "sdpa"
    assert all(parameter.grad is None for parameter in model.model.parameters())


@pytest.mark.parametrize("sure", [8.0, 15.0])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_map_of_a_class_that_is_nearly_certain(sure: float, alone: bool, dtype: torch.dtype) -> None:
    """Its gradient is small, a remainder of nothing larger: half precision keeps it."""
    model = hooked()
    with torch.no_grad():
        model.model.classifier.bias[1] += sure
    rows = len(INPUTS["input_ids"])
    views, view = (label_views(torch.ones(rows).long()), 0) if alone else (class_views(LABELS, rows), 1)
    expected = integrated_gradients(model, INPUTS, views, steps=1, target="loss").values[view]
    model.model.to(dtype)
    found = integrated_gradients(model, INPUTS, views, steps=1, target="loss").values[view]
    error = (found.double() - expected).norm() / expected.norm()
    assert error < {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.1}[dtype]


def test_many_steps_of_half_precision_are_added_up_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they go through the model one by one, as those of a large batch do."""
    monkeypatch.setattr(integrated, "_POSITIONS", 1)
    model, one = hooked(), {name: tensor[:1] for name, tensor in INPUTS.items()}
    model.model.bfloat16().double()
    views = label_views(torch.tensor([1]))
    expected = integrated_gradients(model, one, views, hook_point="blocks.1.hook_in", steps=64, target="loss")
    model.model.bfloat16()
    found = integrated_gradients(model, one, views, hook_point="blocks.1.hook_in", steps=64, target="loss")
    assert (found.values - expected.values).norm() < 0.015 * expected.values.norm()
    assert found.values.dtype == found.gap.dtype == torch.float32 and one["input_ids"][0].ne(PAD).all()


def test_the_gap_of_half_precision_is_of_the_models_own_output() -> None:
    """A path from the mean ends at the activation itself, to the last bit; a row without tokens starts at 0."""
    model, views = hooked(), class_views(LABELS, 4)
    model.model.bfloat16()
    inputs = {**INPUTS, "attention_mask": INPUTS["attention_mask"].clone()}
    inputs["attention_mask"][2] = 0
    hook_point = model.hook_point("block_input", 0)
    run, mask = model.read(inputs, [hook_point]), inputs["attention_mask"].bool()[..., None]
    here = run.activations[hook_point]
    start = here.float().where(mask, 0).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    start = start.bfloat16().repeat(1, 10, 1)
    with entered(model, hook_point, start):
        at_start = view_values(model.run(inputs).logits, views, "probability")
    for hook_points in ([hook_point], [hook_point, hook_point]):
        for found in integrated.attributions_at(model, inputs, views, hook_points, steps=7, baseline="mean"):
            torch.testing.assert_close(
                found.gap,
                found.values.sum((-2, -1)) - view_values(model.run(inputs).logits, views, "probability") + at_start,
            )


def test_steps_go_together_as_positions_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = hooked("bert", "classification"), tiny_inputs(2, 6)
    points = [model.hook_point("block_input", 0), model.hook_point("attention_output", 1)]
    found, calls = [], []
    model.model.register_forward_pre_hook(lambda *_: calls.append(None))
    for positions, forwards in ((1, 8), (3 * 12, 3), (2**13, 1)):
        monkeypatch.setattr(integrated, "_POSITIONS", positions)
        calls.clear()
        found.append(integrated.attributions_at(model, inputs, class_views(LABELS, 2), points, steps=7))
        assert len(calls) == 1 + len(points) * forwards  # read once; the start of each path and its steps
    for other in found[1:]:
        for one, each in zip(found[0], other, strict=True):
            torch.testing.assert_close(each.values, one.values, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(each.gap, one.gap, rtol=1e-12, atol=1e-12)
