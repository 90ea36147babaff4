"""Small models with a tokenizer, for the tests of loading and cutting."""

import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.task_types import Task
from tests.tiny import TASKS_OF, VOCABULARY, tiny


def word_tokenizer(first: str = "w") -> PreTrainedTokenizerFast:
    """A word-level tokenizer of the tiny models' vocabulary."""
    words = ["[UNK]", "[PAD]", *(f"{first}{number}" for number in range(VOCABULARY - 2))]
    model = WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="[UNK]", pad_token="[PAD]")


def hooked(
    architecture: str = "bert", task: Task | None = None, role: Role = "teacher", layers: int = 3
) -> HookedModel:
    """A tiny model with that tokenizer."""
    task = task or TASKS_OF[architecture][0]
    return HookedModel(tiny(architecture, task, layers=layers), word_tokenizer(), task=task, role=role)


def with_adapters() -> PeftModel:
    """A tiny classifier in peft's wrapper, as most users of adapters have it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about what peft asks it
        wrapped = get_peft_model(tiny("bert", "classification"), LoraConfig(target_modules=["query"]))
    assert isinstance(wrapped, PeftModel)
    return wrapped


def same_weights(one: HookedModel, other: HookedModel) -> bool:
    """Whether all weights of the two are equal."""
    weights = other.model.state_dict()
    return all(torch.equal(weight, weights[name]) for name, weight in one.model.state_dict().items())
