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

from causalkd.errors import nearest
from causalkd.task_types import TASK_TYPES, Task

_AUTO: Mapping[Task, tuple[Any, ...]] = {
    "masked_lm": (AutoModelForMaskedLM,),
    # The last table holds, besides encoders with a decoder, decoders that also read sound.
    "causal_lm": (AutoModelForCausalLM, AutoModelForMultimodalLM, AutoModelForSeq2SeqLM),
    "classification": (AutoModelForSequenceClassification,),
    "multi_label": (AutoModelForSequenceClassification,),
    "regression": (AutoModelForSequenceClassification,),
    "token_classification": (AutoModelForTokenClassification,),
    "question_answering": (AutoModelForQuestionAnswering,),
}

# Some of their models are encoders with a decoder, which are not causal language models of the text they are given.
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

    If there are several, it is the one whose class the configuration names in `architectures`, or else the first.

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


# Transformers' names for the likelihood of a head that predicts for a whole row; None if it is not declared.
_LIKELIHOODS: Mapping[Task, str] = {
    "classification": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


def check_head(model: PreTrainedModel, task: Task) -> None:
    """Refuses a model whose head does not compute what a task needs.

    Classes that transformers does not know are trusted to have the given task.

    Raises:
        ValueError: There is no such task, this is not a model of transformers, or its head is for another task.
    """
    if task not in TASK_TYPES:
        raise ValueError(f"task {task!r} does not exist; {nearest(str(task), list(TASK_TYPES))}")
    name = type(model).__name__
    # peft's and torch's wrappers hand on every attribute of the model inside.
    if not isinstance(model, PreTrainedModel):
        raise ValueError(
            f"{name} is not a model of transformers; give the model itself, before anything is wrapped around it"
        )
    carried = [each for each in TASK_TYPES if type(model) in head_classes(type(model.config), each)]
    if carried and task not in carried:
        raise ValueError(f"{name} has no head for {task}, but one for {', '.join(carried)}; name that as its task")
    problem, outputs = getattr(model.config, "problem_type", None), model.config.num_labels
    if task in _LIKELIHOODS and problem not in (None, _LIKELIHOODS[task]):
        raise ValueError(f"the configuration of {name} has problem_type {problem!r}, which is another task than {task}")
    if task == "regression" and outputs != 1:
        raise ValueError(f"{name} has {outputs} outputs, and a regression predicts one number; set num_labels to 1")


def _heads(config: type[PreTrainedConfig], task: Task) -> Iterator[tuple[Any, type[PreTrainedModel]]]:
    for auto in _AUTO[task]:
        head = auto._model_mapping.get(config, None)
        if head is not None and not (auto in _OF_MORE_THAN_TEXT and _is_encoder_decoder(config)):
            yield auto, head


def _is_encoder_decoder(config: type[PreTrainedConfig]) -> bool:
    return bool(config().is_encoder_decoder)
