"""The AD-KD steps that are compared do the same work."""

from dataclasses import replace

import torch

from tests.benchmarks import adkd_steps
from tests.benchmarks.setting import SMOKE


def test_the_straightforward_algorithm_is_our_objective() -> None:
    setting = replace(SMOKE, dropout=0.0, rows=3, tokens=6, spread=0.2)
    for steps in (1, 3):
        torch.manual_seed(0)
        trainer, batch = adkd_steps._trainer(setting, steps)
        torch.manual_seed(0)
        teacher, student = adkd_steps._stock(setting)
        plain = adkd_steps.plain_adkd_loss(teacher, student, dict(batch.inputs), steps)
        plain.backward()
        ours = trainer.compute_loss(trainer.student.model, batch.tensors())
        ours.backward()
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)
        for (name, one), other in zip(student.named_parameters(), trainer.student.model.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)
