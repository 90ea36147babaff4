"""A device's losses and counterfactuals beside those of a processor in float64.

What is compared with has the same inputs and weights, rounded to the type already, so the difference is that of the
arithmetic alone. Tolerances are a number of roundings of the type.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Site
from causalkd.losses.decoupled import atkd, dkd
from causalkd.losses.divergence import kernel_of
from causalkd.losses.divergence_table import DIVERGENCES
from causalkd.losses.fused import RowLoss
from causalkd.losses.task import token_rows
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from tests.alignment.interventions import BASE, PAIRS, SOURCE, positions
from tests.device.line import Line
from tests.device.sizes import Sizes
from tests.losses.heads import Head, head
from tests.oracles.interchange import Intervened, Spot, slow_interchange
from tests.tiny import tiny

TYPES = (torch.float32, torch.bfloat16)
MODELS: tuple[tuple[str, Task], ...] = (("bert", "masked_lm"), ("llama", "causal_lm"))
_ROUNDINGS = 8
_TEMPERATURE = 2.0
_LAYER = 1

Loss = Callable[[Tensor | Head, Tensor | Head, Tensor, Tensor], Tensor]
"""(student's predictions, teacher's, gold tokens, which of them are hard) → scalar."""


def losses() -> dict[str, Loss]:
    """Every divergence, ATKD, DKD and the task loss, by name."""
    found: dict[str, Loss] = {name: partial(_divergence, name) for name in DIVERGENCES}
    found["atkd"] = lambda student, teacher, gold, hard: atkd(student, teacher, gold, hard)
    found["dkd"] = lambda student, teacher, gold, hard: dkd(student, teacher, gold, temperature=_TEMPERATURE)
    found["task"] = lambda student, teacher, gold, hard: token_rows(student, gold).value()
    return found


def losses_beside_cpu(device: torch.device, sizes: Sizes) -> list[Line]:
    """Each loss from hidden states, and its gradients in hidden states and head, in each type."""
    return [_line_of_loss(name, loss, dtype, device, sizes) for name, loss in losses().items() for dtype in TYPES]


def interchange_beside_cpu(device: torch.device, sizes: Sizes) -> list[Line]:
    """The logits of a counterfactual by two plain forwards with hooks, and by ours on the device, in each type."""
    return [_line_of_interchange(*model, dtype, device) for model in MODELS for dtype in TYPES]


def _divergence(name: str, student: Tensor | Head, teacher: Tensor | Head, gold: Tensor, hard: Tensor) -> Tensor:
    return RowLoss(student, kernel_of(name), (teacher,), temperature=_TEMPERATURE).value()


def _line_of_loss(name: str, loss: Loss, dtype: torch.dtype, device: torch.device, sizes: Sizes) -> Line:
    shape = {"width": sizes.width, "choices": sizes.vocabulary, "scale": 3 / sizes.width**0.5}
    student = head(sizes.tokens, **shape, dtype=dtype)
    teacher = head(sizes.tokens, **shape, seed=1, dtype=dtype, learns=False)
    gold = torch.randint(sizes.vocabulary, (sizes.tokens,), generator=torch.Generator().manual_seed(2))
    hard = torch.arange(sizes.tokens) % 2 > 0
    exact = _moved(student, torch.device("cpu"), torch.float64)
    expected = loss(exact.whole(), _moved(teacher, torch.device("cpu"), torch.float64).whole(), gold, hard)
    ours = _moved(student, device, dtype)
    found = loss(ours, _moved(teacher, device, dtype), gold.to(device), hard.to(device))
    pairs = [(found, expected)]
    pairs += zip(_gradients(found, ours), _gradients(expected, exact), strict=True)
    return _line(f"loss {name}", dtype, max(relative_error(*pair) for pair in pairs), "value and gradients, fused")


def _line_of_interchange(architecture: str, task: Task, dtype: torch.dtype, device: torch.device) -> Line:
    stock = tiny(architecture, task, dtype=dtype)
    exact = HookedModel(deepcopy(stock).double(), task=task, role="teacher")
    expected = _plain_counterfactual(exact)
    model = HookedModel(_on(stock, device), task=task, role="teacher")
    base, source = ({name: each.to(device) for name, each in inputs.items()} for inputs in (BASE, SOURCE))
    site = resolve_site(Site(layer=_LAYER), model)
    found = interchange(model, [site], base, source, positions(PAIRS).to(device)).logits
    counted = BASE["attention_mask"].bool()
    error = relative_error(found.cpu()[counted], expected[counted])
    return _line(f"interchange {architecture}", dtype, error, "logits at real tokens")


def _plain_counterfactual(model: HookedModel) -> Tensor:
    spot = Spot(model.hook_point("block_output", _LAYER).module, "output")
    with torch.no_grad():
        return slow_interchange(model.model, [Intervened(spot, spot)], BASE, SOURCE, PAIRS).logits


def _on(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    model.to(device)  # type: ignore[arg-type]
    return model


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The length of the difference beside that of what is expected; not a number where something is none."""
    difference = found.detach().cpu().double() - expected.detach().double()
    return float(difference.norm() / expected.detach().double().norm())


def _moved(given: Head, device: torch.device, dtype: torch.dtype) -> Head:
    leaves = [each.detach().to(device, dtype).requires_grad_(each.requires_grad) for each in given.leaves()]
    return Head(*leaves, scale=given.scale, cap=given.cap)


def _gradients(loss: Tensor, student: Head) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, student.leaves())


def _line(check: str, dtype: torch.dtype, error: float, note: str) -> Line:
    name = str(dtype).removeprefix("torch.")
    return Line(f"{check} {name}", error, "relative error", _ROUNDINGS * torch.finfo(dtype).eps, note)
