"""Training without a vocabulary's worth of logits ends in the weights that training with them ends in."""

from pathlib import Path

import pytest
import torch

from causalkd.models.hooks import split_head
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from tests.tiny import tiny
from tests.training.small import examples, logged, trainer, weights


def _trained(folder: Path, accumulated: int, is_split: bool) -> tuple[dict[str, torch.Tensor], list[float]]:
    teacher, student = (
        HookedModel(
            tiny(name, "causal_lm", seed=seed, layers=2, dtype=torch.float64),
            task="causal_lm",
            role=role,  # type: ignore[arg-type]
        )
        for seed, (name, role) in enumerate((("gpt2", "teacher"), ("llama", "student")))
    )
    objectives = {
        "response_kd": Weighted(0.5, ResponseKD()),
        "task": Weighted(0.25, TaskLoss()),
        "atkd": Weighted(1.0, ATKD(split="sequence")),
    }
    rows = [{"input_ids": each["input_ids"], "label": each["input_ids"]} for each in examples()]
    one = trainer(
        folder,
        (teacher, student),
        objectives,
        rows=rows,
        gradient_accumulation_steps=accumulated,
        per_device_train_batch_size=8 // accumulated,
        max_steps=3,
        optim="sgd",
        learning_rate=0.1,
    )
    one.train()
    run = student.run({"input_ids": torch.tensor([rows[0]["input_ids"]])})
    assert isinstance(run.predicted, split_head.UnprojectedLogits) == is_split
    return weights(student), logged(one)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_weights_after_a_few_steps(tmp_path: Path, accumulated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    split, losses = _trained(tmp_path / "split", accumulated, True)
    monkeypatch.setattr(split_head, "_not_now", lambda *_: "a test wants it so")
    whole, expected = _trained(tmp_path / "whole", accumulated, False)
    assert losses == pytest.approx(expected, rel=1e-4)  # the log has four decimals
    for name, weight in whole.items():
        torch.testing.assert_close(split[name], weight, rtol=1e-9, atol=1e-10, msg=name)
