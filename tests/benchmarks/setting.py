"""The shape of what is measured, and the models and the batch of that shape."""

import os
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, PreTrainedModel

from causalkd.alignment.presets import preset
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch
from causalkd.data.masking import Masking
from causalkd.data.pairs.collator import ExampleSet, PairingCollator

CPU = torch.device("cpu")
_SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3}


@dataclass(frozen=True)
class Setting:
    """BERT-shaped models with random weights, and one batch of full rows; logits and heads for divergences."""

    teacher_layers: int = 6
    student_layers: int = 3
    width: int = 384
    heads: int = 12
    vocabulary: int = 30522
    rows: int = 16
    tokens: int = 128
    dropout: float = 0.1
    divergence_tokens: int = 512
    divergence_vocabulary: int = 50272
    divergence_width: int = 768
    long_tokens: int = 4096
    long_vocabulary: int = 128256
    """The shape at which the memory of a loss from hidden states is measured in bfloat16, `divergence_width` wide."""
    spread: float = 0.02
    """Standard deviation of the weights."""
    task: Literal["masked_lm", "classification"] = "masked_lm"
    """The head: the vocabulary at every token, or two classes a row."""
    sources: Literal["batch", "dataset"] = "batch"
    rounds: int = 9
    threads: int = min(2, os.cpu_count() or 1)

    @property
    def alignment(self) -> Alignment:
        """One site pair, in the middle of both models; random spans of 0.3 of the row."""
        return preset("middle", self.teacher_layers, self.student_layers)


FULL = Setting()
SMOKE = Setting(
    4,
    2,
    width=32,
    heads=4,
    vocabulary=97,
    rows=8,
    tokens=16,
    divergence_tokens=8,
    divergence_vocabulary=97,
    divergence_width=32,
    long_tokens=16,
    long_vocabulary=97,
    rounds=2,
    threads=1,
)


def teacher_of(setting: Setting) -> PreTrainedModel:
    """A stock teacher in eval mode, frozen."""
    return _model(setting, setting.teacher_layers, seed=0).eval().requires_grad_(False)


def student_of(setting: Setting) -> PreTrainedModel:
    """A stock student in train mode."""
    return _model(setting, setting.student_layers, seed=1).train()


def batch_of(setting: Setting, padding: bool = False) -> Batch:
    """The batch that a `PairingCollator` makes; for masked language models 15 % of the tokens are masked.

    With `padding`, rows lose 0, 1, 2, … of their last tokens.
    """
    generator = torch.Generator().manual_seed(0)
    lengths = [setting.tokens - (row % (setting.tokens // 2) if padding else 0) for row in range(setting.rows)]
    examples = [
        {
            "input_ids": torch.randint(len(_SPECIAL), setting.vocabulary, (length,), generator=generator).tolist(),
            "label": number % 2,
        }
        for number, length in enumerate(lengths)
    ]
    masking = None
    if setting.task == "masked_lm":
        masking = Masking(_SPECIAL["mask"], tuple(_SPECIAL.values()), setting.vocabulary)
    collator = PairingCollator(
        examples, setting.alignment.policies(), _SPECIAL["pad"], sources=setting.sources, masking=masking
    )
    return Batch.from_tensors(collator(list(ExampleSet(examples))))


def _model(setting: Setting, layers: int, seed: int) -> PreTrainedModel:
    config = BertConfig(
        vocab_size=setting.vocabulary,
        hidden_size=setting.width,
        num_hidden_layers=layers,
        num_attention_heads=setting.heads,
        intermediate_size=4 * setting.width,
        max_position_embeddings=setting.tokens,
        hidden_dropout_prob=setting.dropout,
        attention_probs_dropout_prob=setting.dropout,
        pad_token_id=_SPECIAL["pad"],
        num_labels=2,
        initializer_range=setting.spread,
    )
    head = BertForMaskedLM if setting.task == "masked_lm" else BertForSequenceClassification
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return head(config)
