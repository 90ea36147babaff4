"""A configuration can have more than one class for a head; an encoder with a decoder is no causal language model."""

import inspect
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    LlavaConfig,
    PreTrainedConfig,
    Qwen3_5Config,
    T5Config,
)
from transformers import T5Gemma2Config as T5Gemma2

from causalkd.models.checkpoints import has_head, tasks_of
from causalkd.models.heads import auto_class, check_head, head_classes
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.models.small import with_adapters
from tests.tiny import MODELS, tiny

# As a user's program calls it, without the checks of types in the tests.
_check_head = inspect.unwrap(check_head)


def test_a_model_that_also_reads_images_is_a_causal_language_model() -> None:
    assert [head.__name__ for head in head_classes(LlavaConfig, "causal_lm")] == ["LlavaForConditionalGeneration"]


@pytest.mark.parametrize("config", [T5Config, T5Gemma2])
def test_an_encoder_with_a_decoder_is_none(config: type[PreTrainedConfig]) -> None:
    assert head_classes(config, "causal_lm") == ()


def test_the_class_is_the_one_that_the_checkpoint_names() -> None:
    config = Qwen3_5Config()
    usual = auto_class(config, "causal_lm")
    config.architectures = ["Qwen3_5ForConditionalGeneration"]
    named = auto_class(config, "causal_lm")
    assert usual is AutoModelForCausalLM
    assert named._model_mapping[Qwen3_5Config].__name__ == "Qwen3_5ForConditionalGeneration"


def test_a_head_that_transformers_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="transformers has no question_answering head for a llava; use another task"):
        auto_class(LlavaConfig(), "question_answering")
    assert auto_class(BertConfig(), "question_answering") is not None


def test_a_saved_one_is_found_and_loaded_as_it_is(tmp_path: Path) -> None:
    stock = tiny_of("llava", "causal_lm")
    stock.save_pretrained(tmp_path)
    assert tasks_of(tmp_path) == ("causal_lm",) and has_head(tmp_path, "causal_lm")
    assert type(load_model(tmp_path, task="causal_lm", role="teacher").model) is type(stock)


@pytest.mark.parametrize(
    ("given", "task", "message"),
    [
        ("classification", "masked_lm", "BertForSequenceClassification has no head for masked_lm, but one for classif"),
        ("masked_lm", "token_classification", "has no head for token_classification, but one for masked_lm; name that"),
        ("classification", "clasification", "task 'clasification' does not exist; did you mean classification"),
        ("classification", "regression", "has 3 outputs, and a regression predicts one number; set num_labels to 1"),
        ("multi_label", "classification", "problem_type 'multi_label_classification', which is another task than"),
        ("regression", "multi_label", "problem_type 'regression', which is another task than multi_label"),
    ],
)
def test_a_head_of_another_task_is_refused(given: Task, task: Task, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _check_head(tiny("bert", given), task)


def test_what_is_no_model_of_transformers_is_refused() -> None:
    model = tiny("bert", "classification")
    wrapped = torch.compile(model, backend="eager")
    hooked = HookedModel(model, task="classification", role="teacher")
    for given in (wrapped, with_adapters(), torch.nn.Linear(2, 2), hooked, None):
        with pytest.raises(
            ValueError, match=r"(Optimized|Peft|Linear|Hooked|None).* is not a model of transformers; give"
        ):
            _check_head(given, "classification")


def test_heads_of_every_task_and_unknown_classes_are_taken() -> None:
    for architecture, task in MODELS:
        _check_head(tiny(architecture, task), task)
    unknown = type("Mine", (BertForMaskedLM,), {})(tiny("bert", "masked_lm").config)
    _check_head(unknown, "token_classification")
