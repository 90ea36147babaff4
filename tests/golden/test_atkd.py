"""Parity with the ATKD release: one test per case file, from its manifest alone; values to 1e-10, gradients to 1e-8.

Every entry of `results` names a loss and, behind it, what differs from the defaults. Where the release has no number
(NaN, an error), ours is finite. Logits are of a position, tokens and mask of the next one; `padding_mask` is 1 where
nothing counts.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.losses.decoupled import atkd, dkd, hard_tokens
from causalkd.losses.divergence import forward_kl, reverse_kl, total_variation
from causalkd.losses.gold_odds import uncertainty
from tests.golden import reader

KINDS = ("atkd_vanilla", "atkd_reverse", "forward", "reverse", "jsd", "tvd_INTENDED", "tvd", "soft_ce", "dkd", "seqkd")


@dataclass(frozen=True)
class Given:
    """One entry: the logits after its temperatures, the gold tokens, what counts, and the settings."""

    student: Tensor
    teacher: Tensor
    gold: Tensor
    mask: Tensor
    settings: Mapping[str, Any]

    def at(self, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.student, self.teacher, self.gold, mask


@pytest.mark.parametrize("name", reader.case_names("atkd"))
def test_case(name: str) -> None:
    described, tensors = reader.manifest(name), reader.tensors(name)
    entries = {key: value for key, value in described["results"].items() if key.startswith(KINDS)}
    assert entries
    for key, expected in entries.items():
        check(key, expected, described["hyperparameters_default"], tensors)


def check(key: str, expected: Any, defaults: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    kind = next(kind for kind in KINDS if key.startswith(kind))
    logits = tensors["student_logits"].double().requires_grad_()
    given = _given(key, kind, logits, defaults, tensors)
    loss = _loss(kind, given)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and gradient.isfinite().all(), key
    if not isinstance(expected, Mapping):  # what the release raised
        return
    _check_number(key, loss, expected["loss_float64"])
    if "grad_norm_student_logits" in expected:
        _check_number(key, gradient.norm(), expected["grad_norm_student_logits"])
    if f"{key}.grad_student_logits" in tensors:
        torch.testing.assert_close(gradient, tensors[f"{key}.grad_student_logits"], rtol=0, atol=1e-8)
    if kind.startswith("atkd"):
        _check_split(key, expected, given, kind == "atkd_reverse", tensors)


def _given(key: str, kind: str, logits: Tensor, defaults: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Given:
    settings = dict(defaults) | {name: float(value) for name, value in re.findall(r"_(alpha|beta)=?([\d.]+)", key)}
    temperatures = re.search(r"_Ts([\d.]+)_Tt([\d.]+)", key)
    of_student, of_teacher = (
        map(float, temperatures.groups())
        if temperatures
        else (settings["student_temperature"], settings["teacher_temperature"])
    )
    if kind == "atkd_reverse":  # the release's temperatures stay with the roles, which are reversed
        of_student, of_teacher = of_teacher, of_student
    return Given(
        logits[:, :-1] / of_student,
        tensors["teacher_logits"][:, :-1].double() / of_teacher,
        tensors["input_ids"][:, 1:],
        tensors["padding_mask"][:, 1:] == 0,
        settings,
    )


def _loss(kind: str, given: Given) -> Tensor:
    student, teacher, mask, settings = given.student, given.teacher, given.mask, given.settings
    match kind:
        case "atkd_vanilla" | "atkd_reverse":
            weight, reverse = settings["alpha"], kind == "atkd_reverse"
            return atkd(*given.at(_hard(given)), mask, easy_weight=weight, reverse=reverse)
        case "forward":
            return forward_kl(student, teacher, mask)
        case "reverse":
            return reverse_kl(student, teacher, mask)
        case "jsd":  # what the release calls by this name
            return 0.9 * forward_kl(student, teacher, mask) + 0.1 * reverse_kl(student, teacher, mask)
        case "tvd":  # the release averages over what does not count
            return total_variation(student, teacher, ~mask)
        case "tvd_INTENDED":
            return total_variation(student, teacher, mask)
        case "soft_ce" | "seqkd":
            log_p = teacher[mask].log_softmax(-1)
            return forward_kl(student, teacher, mask) - (log_p.exp() * log_p).sum(-1).mean()
        case _:
            return dkd(*given.at(mask), alpha=settings["alpha"], beta=settings["beta"])


def _hard(given: Given) -> Tensor:
    return hard_tokens(uncertainty(given.teacher, given.gold), given.mask)


def _check_number(key: str, found: Tensor, expected: float) -> None:
    if math.isfinite(expected):
        assert found.item() == pytest.approx(expected, rel=1e-10, abs=1e-10), key


def _check_split(
    key: str, expected: Mapping[str, Any], given: Given, reverse: bool, tensors: Mapping[str, Tensor]
) -> None:
    """The uncertainties, which tokens are easy, and the mean of each term over each group."""
    unc, hard = uncertainty(given.teacher, given.gold), _hard(given)
    if f"{key}.unc" in tensors:
        torch.testing.assert_close(unc, tensors[f"{key}.unc"], rtol=0, atol=1e-10)
        assert torch.equal(~hard[given.mask], tensors[f"{key}.easy_mask"].bool()[given.mask])
    groups = {"easy": given.mask & ~hard, "hard": hard}
    for group, mask in groups.items():
        found = {
            f"n_{group}_valid": mask.sum(),
            f"{group}_nckd": _term(partial(dkd, alpha=0.0, beta=1.0), given, mask, reverse),
            f"{group}_tckd": _term(partial(dkd, alpha=1.0, beta=0.0), given, mask, reverse),
        }
        found |= {f"{group}_tckd_unused": found[f"{group}_tckd"], "filter_value": unc[hard].min()}
        for name in found.keys() & expected.keys():
            _check_number(f"{key}: {name}", found[name], expected[name])


def _term(term: Any, given: Given, mask: Tensor, reverse: bool) -> Tensor:
    student, teacher, gold, _ = given.at(mask)
    student = student.detach()
    return term(teacher, student, gold, mask) if reverse else term(student, teacher, gold, mask)
