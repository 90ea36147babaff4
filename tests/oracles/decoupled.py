"""ATKD's terms from probabilities, as the paper writes them, with torch's own gradient; float64 and moderate logits."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Terms(NamedTuple):
    """What one row's two distributions say about the gold token and about the others."""

    uncertainty: Tensor
    target: Tensor
    diversity: Tensor


def terms(student: Tensor, teacher: Tensor, gold: Tensor) -> Terms:
    """UNC, TKD and DKD of each row of (row, choice) logits."""
    p, q = teacher.softmax(-1), student.softmax(-1)
    of_gold = F.one_hot(gold, p.shape[-1]).bool()
    p_gold, q_gold = p[of_gold], q[of_gold]
    others_p, others_q = (each[~of_gold].view(len(each), -1) for each in (p, q))
    others_p, others_q = (each / each.sum(-1, keepdim=True) for each in (others_p, others_q))
    target = p_gold * (p_gold / q_gold).log() + (1 - p_gold) * ((1 - p_gold) / (1 - q_gold)).log()
    return Terms(1 - p_gold, target, (others_p * (others_p / others_q).log()).sum(-1))


def atkd(student: Tensor, teacher: Tensor, gold: Tensor, easy_weight: float, reverse: bool = False) -> Tensor:
    """The loss over all rows, split at the lower median of the teacher's uncertainty."""
    uncertainty = terms(student, teacher, gold).uncertainty
    _, target, diversity = terms(teacher, student, gold) if reverse else terms(student, teacher, gold)
    easy = uncertainty < torch.median(uncertainty)
    return easy_weight * diversity[easy].mean() + (1 - easy_weight) * (target + diversity)[~easy].mean()
