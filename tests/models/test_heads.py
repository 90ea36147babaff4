"""A configuration can have more than one class for a head; an encoder with a decoder is no causal language model."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, BertConfig, LlavaConfig, PreTrainedConfig, Qwen3_5Config, T5Config
from transformers import T5Gemma2Config as T5Gemma2

from causalkd.models.checkpoints import has_head, tasks_of
from causalkd.models.heads import auto_class, head_classes
from causalkd.models.load import load_model
from tests.architectures.zoo import tiny_of


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
