"""The plain distillation step, which everything is compared with. Nothing of causalkd is in it; it stays as it is."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

TEMPERATURE = 2.0
WEIGHTS = {"response_kd": 0.25, "task": 0.25, "hidden_kd": 0.25}
"""DIITO's weights (papers: Wu et al. 2022); a DIITO step adds a fourth term of the same weight."""


def plain_loss(
    teacher: PreTrainedModel, student: PreTrainedModel, inputs: Mapping[str, Tensor], labels: Tensor
) -> Tensor:
    """Response KD, masked-LM cross-entropy and cosine of the last hidden states, from one forward of each model."""
    with torch.no_grad():
        taught = teacher(**inputs, output_hidden_states=True)
    learnt = student(**inputs, output_hidden_states=True)
    counted = inputs["attention_mask"].to(learnt.logits.dtype)

    teacher_log = F.log_softmax(taught.logits / TEMPERATURE, dim=-1)
    student_log = F.log_softmax(learnt.logits / TEMPERATURE, dim=-1)
    divergence = F.kl_div(student_log, teacher_log, reduction="none", log_target=True).sum(-1)
    response_kd = TEMPERATURE**2 * (divergence * counted).sum() / counted.sum()

    masked = labels != -100
    task = F.cross_entropy(learnt.logits[masked], labels[masked])

    similarity = F.cosine_similarity(learnt.hidden_states[-1], taught.hidden_states[-1], dim=-1)
    hidden_kd = ((1 - similarity) * counted).sum() / counted.sum()

    return WEIGHTS["response_kd"] * response_kd + WEIGHTS["task"] * task + WEIGHTS["hidden_kd"] * hidden_kd
