"""One pass over a head: no tensor is larger than a chunk of logits, and half precision's head gradient adds up wide."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from causalkd.losses import chunked, fused_pass
from causalkd.losses.divergence import forward_kl
from tests.losses.heads import Head, head

TOKENS, WIDTH, CHOICES = 64, 4, 50


class _Largest(TorchDispatchMode):
    """Notes the most numbers that an operation's new tensor of a vocabulary's width holds."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.dim() == 2 and made.shape[1] == CHOICES:
            self.rows = max(self.rows, len(made))
        return made


def test_logits_exist_for_a_chunk_of_rows_only(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(fused_pass, "_CHUNK_ON_CPU", 8 * CHOICES)
    monkeypatch.setattr(chunked, "_CHUNK_ON_CPU", 2 * CHOICES)
    student = head(TOKENS, width=WIDTH, choices=CHOICES)
    teacher = head(TOKENS, width=WIDTH, choices=CHOICES, seed=1, learns=False)
    with _Largest() as seen:
        forward_kl(student, teacher).backward()
    assert seen.rows == 8
    with _Largest() as seen:
        forward_kl(student.whole(), teacher.whole()).backward()
    assert seen.rows == TOKENS


def test_the_gradient_of_a_half_precision_head_is_added_up_in_float32(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(fused_pass, "_CHUNK_ON_CPU", CHOICES)  # one row at a time
    student = head(2000, width=WIDTH, choices=CHOICES, dtype=torch.bfloat16)
    teacher = head(2000, width=WIDTH, choices=CHOICES, seed=1, dtype=torch.bfloat16, learns=False)
    wide = Head(*(each.detach().double().requires_grad_() for each in student.leaves()))
    loss = forward_kl(student, teacher)
    plain = forward_kl(wide, Head(*(each.double() for each in teacher.leaves())))
    own, expected = (torch.autograd.grad(each, of.weight)[0].double() for each, of in ((loss, student), (plain, wide)))
    assert (own - expected).norm() < 0.01 * expected.norm()
