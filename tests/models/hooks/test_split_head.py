"""A forward that leaves out a head's last linear map gives the stock model's logits, however the head goes on."""

import re
from collections.abc import Callable
from typing import Any
from unittest import TestCase

import pytest
import torch
from torch import Tensor, nn

from causalkd.models.hooks import split_head
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.split_head import UnprojectedLogits
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.tiny import MODELS, TASKS_OF, VOCABULARY, tiny, tiny_inputs

INPUTS = tiny_inputs(3, 8)
LANGUAGE_MODELS = [(name, task) for name, task in MODELS if task in ("masked_lm", "causal_lm")]
# A cap, a factor, a divisor, another factor.
AFTER: tuple[str, ...] = ("gemma2", "cohere", "granite", "falcon_h1")


def _stock_and_own(model: HookedModel) -> tuple[Tensor, Tensor]:
    run = model.run(INPUTS)
    assert isinstance(run.predicted, UnprojectedLogits) and run.outputs.shape[-1] == 0
    return model.model(**INPUTS, **model.options).logits, run.logits


@pytest.mark.parametrize(("architecture", "task"), LANGUAGE_MODELS)
def test_logits_and_gradients_are_those_of_the_stock_model(architecture: str, task: Task) -> None:
    model = HookedModel(tiny(architecture, task, dtype=torch.float64), task=task, role="student")
    stock, own = _stock_and_own(model)
    real = INPUTS["attention_mask"].bool()
    torch.testing.assert_close(own[real], stock[real], rtol=1e-12, atol=1e-12)
    weights = [weight for weight in model.model.parameters() if weight.requires_grad]
    gradients = [torch.autograd.grad(each[real].square().mean(), weights, allow_unused=True) for each in (stock, own)]
    for plain, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", AFTER)
def test_what_follows_the_map_is_known(model_type: str) -> None:
    stock = tiny_of(model_type, "causal_lm")
    settings = stock.config.get_text_config()
    for name, value in (("final_logit_softcapping", 2.0), ("logit_scale", 0.3), ("logits_scaling", 3.0)):
        if name in settings.to_dict():
            setattr(settings, name, value)
            vars(stock).update({name: value} if name in vars(stock) else {})
    model = HookedModel(stock, task="causal_lm", role="teacher")
    plain, own = _stock_and_own(model)
    torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-5)


def _doubled(logits: Tensor) -> Tensor:
    return 2 * logits


def _capped(logits: Tensor) -> Tensor:
    return 30 * torch.tanh(logits / 30)


def _without_an_entry(logits: Tensor) -> Tensor:
    logits[..., 5] = -torch.inf
    return logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_doubled, "its head changes"),
        (_capped, "its head changes"),  # of logits so small that the cap does not show
        (_without_an_entry, r"its head does not run without its last linear map \(IndexError: index 5 is out of"),
    ],
)
def test_a_change_after_the_map_that_no_setting_tells_keeps_the_logits_whole(
    change: Callable[[Tensor], Tensor], reason: str, dtype: torch.dtype
) -> None:
    stock = tiny("gpt2", "causal_lm", layers=1, dtype=dtype)
    stock.lm_head.weight.data *= 0.01
    plain = type(stock).forward

    def changed(*given: Any, **named: Any) -> Any:
        output = plain(stock, *given, **named)
        output.logits = change(output.logits)
        return output

    stock.forward = changed
    model = HookedModel(stock, task="causal_lm", role="teacher")
    with TestCase().assertLogs(split_head.__name__, "WARNING") as told:
        runs = [model.run(INPUTS) for _ in range(2)]
    assert all(isinstance(run.predicted, Tensor) for run in runs)
    torch.testing.assert_close(runs[0].logits, model.model(**INPUTS, use_cache=False).logits)
    (said,) = told.output
    assert re.search(f"GPT2LMHeadModel computes the logits of its whole vocabulary at once, because {reason}", said)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_head_that_gives_its_logits_in_another_type_than_its_own(dtype: torch.dtype) -> None:
    """Mamba's are float32 in every precision, which ended in an error of torch when such a model was loaded."""
    model = HookedModel(tiny_of("mamba", "causal_lm").to(dtype), task="causal_lm", role="teacher")
    stock, own = _stock_and_own(model)
    assert stock.dtype == torch.float32 and torch.equal(own, stock)


def test_a_head_that_something_else_hooks_into_stays_whole() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher")
    linear = model.model.get_output_embeddings()
    handle = linear.register_forward_hook(lambda *_: None)
    assert isinstance(model.run(INPUTS).predicted, Tensor)
    handle.remove()
    assert isinstance(model.run(INPUTS).predicted, UnprojectedLogits)


def test_a_head_of_another_kind_stays_whole() -> None:
    class Adapted(nn.Linear):
        """As adapters and quantised layers are."""

    stock = tiny("gpt2", "causal_lm")
    weight = stock.lm_head.weight
    stock.lm_head = Adapted(*reversed(weight.shape), bias=False)
    stock.lm_head.weight = weight
    assert isinstance(HookedModel(stock, task="causal_lm", role="teacher").run(INPUTS).predicted, Tensor)


@pytest.mark.parametrize("task", [task for task in TASKS_OF["bert"] if task != "masked_lm"])
def test_a_head_that_is_over_no_vocabulary_says_nothing(task: Task) -> None:
    model = HookedModel(tiny("bert", task), task=task, role="teacher")
    with TestCase().assertNoLogs(split_head.__name__, "WARNING"):
        assert isinstance(model.run(INPUTS).predicted, Tensor)


def test_the_stock_model_is_as_it_was_after_a_run_and_after_a_failure() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="student")
    linear = model.model.get_output_embeddings()
    before = set(vars(linear))
    model.run(INPUTS)
    with pytest.raises(RuntimeError):
        model.run({**INPUTS, "input_ids": INPUTS["input_ids"].float()})
    assert set(vars(linear)) == before


def test_the_entries_that_only_pad_a_vocabulary_have_no_logit() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="student")
    whole = model.run(INPUTS).logits
    model.entries = VOCABULARY - 7
    run = model.run(INPUTS)
    assert run.predicted.shape == (*whole.shape[:-1], VOCABULARY - 7)
    torch.testing.assert_close(run.logits, whole[..., : VOCABULARY - 7])


def test_logits_that_are_asked_for_later_have_a_graph_if_the_forward_had() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="student")
    with torch.no_grad():
        without = model.run(INPUTS)
    assert not without.logits.requires_grad
    run = model.run(INPUTS)
    with torch.no_grad():
        assert run.logits.requires_grad


def test_under_autocast_logits_are_what_the_stock_forward_gives() -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher")
    with torch.autocast("cpu", torch.bfloat16):
        run = model.run(INPUTS)
        plain = model.model(**INPUTS).logits
    assert run.logits.dtype == plain.dtype == torch.bfloat16
    assert torch.equal(run.logits, plain)
