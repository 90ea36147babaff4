"""Inside a step the host never asks a device for a number: logging does, at the rate of logging.

On a CPU nothing shows a wait, so the operations that would be one are refused: reading a number of a tensor, shapes
that depend on values, copies to the host. What transformers' own forwards do is theirs.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from causalkd.alignment.resolve import resolve
from causalkd.data.masking import Masking
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Objective, Weighted
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.task_types import Task
from tests.tiny import PAD, VOCABULARY, tiny
from tests.training.small import ALIGNMENT, examples, trainer

_WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::unique_dim", "aten::_unique2"}
_COPIES = ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__")
PAIRS: dict[Task, tuple[str, str]] = {
    "masked_lm": ("bert", "distilbert"),
    "causal_lm": ("gpt2", "opt"),
    "classification": ("bert", "distilbert"),
    "token_classification": ("bert", "distilbert"),
}
NAMES = ("task", "response_kd", "diito", "diito_hidden", "hidden_kd", "adkd", "atkd", "atkd_running", "dkd")


class _NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        by_mask = name in ("aten::index", "aten::index_put_", "aten::index_put") and any(
            isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8) for each in args[1]
        )
        if (name in _WAITS or by_mask) and not _is_theirs(sys._getframe(1)):
            raise AssertionError(f"{name}{' by a mask' if by_mask else ''} waits for the device")
        return func(*args, **(kwargs or {}))


def _is_theirs(frame: Any) -> bool:
    """Whether the nearest caller that is ours or transformers' is transformers'."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("transformers."):
            return True
        if name.startswith("causalkd."):
            return False
        frame = frame.f_back
    return True


@contextmanager
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        for name in _COPIES:
            plain = getattr(Tensor, name)

            def refused(tensor: Tensor, *given: Any, _name: str = name, _plain: Any = plain, **named: Any) -> Any:
                caller = sys._getframe(1)
                # Numbers that were on the host from the beginning are no copy.
                if (
                    caller.f_globals.get("__name__", "").startswith("causalkd.")
                    and "data/rng" not in caller.f_code.co_filename
                ):
                    raise AssertionError(
                        f"Tensor.{_name} in {caller.f_code.co_filename}:{caller.f_lineno} waits for the device"
                    )
                return _plain(tensor, *given, **named)

            patched.setattr(Tensor, name, refused)
        with _NoWaiting():
            yield


def _objectives(task: Task, teacher: HookedModel, student: HookedModel) -> dict[str, Objective]:
    alignment = resolve(ALIGNMENT, teacher, student)
    found: dict[str, Objective] = {
        "task": TaskLoss(),
        "response_kd": ResponseKD(),
        "diito": DIITO(alignment, teacher, student, tokens="labelled", crossway=True, pairs="all"),
        "diito_hidden": DIITOHidden(alignment, teacher, student),
        "hidden_kd": HiddenKD(teacher, student),
        "dkd": DKD(),
        "atkd": ATKD(),
        "atkd_running": ATKD(split="running"),
    }
    if task != "token_classification":
        found["adkd"] = ADKD(teacher, student, views=2 if task in ("masked_lm", "causal_lm") else "all", steps=2)
    return found


@pytest.mark.parametrize("sources", ["batch", "dataset"])
@pytest.mark.parametrize("task", PAIRS)
def test_no_objective_waits(task: Task, sources: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = (
        HookedModel(tiny(name, task, seed=seed, layers=2), task=task, role=role)  # type: ignore[arg-type]
        for seed, (name, role) in enumerate(zip(PAIRS[task], ("teacher", "student"), strict=True))
    )
    rows = examples()
    if task != "classification":
        rows = [{**row, "label": [token % 3 for token in row["input_ids"]]} for row in rows]
    masking = Masking(5, (PAD, 2, 3), VOCABULARY) if task == "masked_lm" else None
    collator = PairingCollator(rows, ALIGNMENT.policies(), PAD, sources=sources, masking=masking)
    batch = collator([ExampleSet(rows)[number] for number in range(8)])
    for name, objective in _objectives(task, teacher, student).items():
        one = trainer(tmp_path, (teacher, student), {name: Weighted(0.5, objective)}, rows=rows)
        student.model.train()
        with no_waiting(monkeypatch):
            loss = one.compute_loss(student.model, batch)
            loss.backward()
        assert loss.isfinite(), name


def test_what_would_wait_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from causalkd.data.token_mask import flat_positions

    with no_waiting(monkeypatch), pytest.raises(AssertionError, match="aten::nonzero waits for the device"):
        flat_positions(torch.ones(2, 2, dtype=torch.bool))
