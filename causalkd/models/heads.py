"""The classes of transformers that carry each prediction head.

A model that also reads images or sound is a causal language model when it is given text alone. transformers keeps such
classes in tables of their own, so a configuration can have more than one class for that head.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultimodalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto import modeling_auto

from causalkd.task_types import Task

_AUTO: Mapping[Task, tuple[Any, ...]] = {
    "masked_lm": (AutoModelForMaskedLM,),
    # The last table holds, beside encoders with a decoder, decoders that also read sound.
    "causal_lm": (AutoModelForCausalLM, AutoModelForMultimodalLM, AutoModelForSeq2SeqLM),
    "classification": (AutoModelForSequenceClassification,),
    "multi_label": (AutoModelForSequenceClassification,),
    "regression": (AutoModelForSequenceClassification,),
    "token_classification": (AutoModelForTokenClassification,),
    "question_answering": (AutoModelForQuestionAnswering,),
}

# Some of their models are encoders with a decoder, which are no causal language models of the text they are given.
_OF_MORE_THAN_TEXT = (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM)

HEAD_NAMES: Mapping[Task, tuple[Any, ...]] = {
    "masked_lm": (modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,),
    "causal_lm": (
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    ),
    "classification": (modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,),
    "token_classification": (modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,),
    "question_answering": (modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,),
}
"""The names of the same classes by type of model, which are known without importing any of them."""


def head_classes(config: type[PreTrainedConfig], task: Task) -> tuple[type[PreTrainedModel], ...]:
    """Every class that carries a head for models of a type of configuration, the usual one first."""
    return tuple(head for _, head in _heads(config, task))


def auto_class(config: PreTrainedConfig, task: Task) -> Any:
    """The auto class that makes a model of a configuration with the head of a task.

    Where there are several, it is the one whose class the configuration names in `architectures`, or else the first.

    Raises:
        ValueError: transformers has no such head for this configuration.
    """
    found = list(_heads(type(config), task))
    if not found:
        raise ValueError(
            f"transformers has no {task} head for a {config.model_type}; use another task or another architecture"
        )
    named = (auto for auto, head in found if head.__name__ in (config.architectures or ()))
    return next(named, found[0][0])


def _heads(config: type[PreTrainedConfig], task: Task) -> Iterator[tuple[Any, type[PreTrainedModel]]]:
    for auto in _AUTO[task]:
        head = auto._model_mapping.get(config, None)
        if head is not None and not (auto in _OF_MORE_THAN_TEXT and _is_encoder_decoder(config)):
            yield auto, head


def _is_encoder_decoder(config: type[PreTrainedConfig]) -> bool:
    return bool(config().is_encoder_decoder)
