"""The plain distillation step, which everything is compared with. Nothing of causalkd is in it; it stays as it is."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

TEMPERATURE = 2.0
WEIGHTS = {"response_kd": 0.25, "task": 0.25, "hidden_kd": 0.25, "diito": 0.25}
"""DIITO's weights (papers: Wu et al. 2022); the plain step has the first three terms."""


def plain_loss(
    teacher: PreTrainedModel, student: PreTrainedModel, inputs: Mapping[str, Tensor], labels: Tensor
) -> Tensor:
    """Response KD, cross-entropy and cosine of the last hidden states, from one forward of each model.

    Labels are those of a masked language model, (batch, pos), or of a classifier, (batch,).
    """
    with torch.no_grad():
        taught = teacher(**inputs, output_hidden_states=True)
    learnt = student(**inputs, output_hidden_states=True)
    return plain_terms(taught, learnt, inputs, labels)


def plain_terms(taught: Any, learnt: Any, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """The weighted sum from both models' outputs."""
    response_kd = plain_kl(taught.logits, learnt.logits, inputs)
    labelled = labels != -100
    task = F.cross_entropy(learnt.logits[labelled], labels[labelled])
    tokens = inputs["attention_mask"].to(learnt.logits.dtype)
    similarity = F.cosine_similarity(learnt.hidden_states[-1], taught.hidden_states[-1], dim=-1)
    hidden_kd = ((1 - similarity) * tokens).sum() / tokens.sum()
    return WEIGHTS["response_kd"] * response_kd + WEIGHTS["task"] * task + WEIGHTS["hidden_kd"] * hidden_kd


def plain_kl(taught: Tensor, learnt: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """T² · KL of the predictions at every real token, or of every row."""
    teacher_log = F.log_softmax(taught / TEMPERATURE, dim=-1)
    student_log = F.log_softmax(learnt / TEMPERATURE, dim=-1)
    divergence = F.kl_div(student_log, teacher_log, reduction="none", log_target=True).sum(-1)
    counted = inputs["attention_mask"].to(divergence.dtype) if divergence.dim() == 2 else torch.ones_like(divergence)
    return TEMPERATURE**2 * (divergence * counted).sum() / counted.sum()
