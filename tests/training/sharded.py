"""A program: trains a student sharded by FSDP2 in two processes on the CPU: `python -m tests.training.sharded DIR`.

Each training is done twice, with the whole student in each process and sharded; both are saved by `save_model`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from causalkd.objectives.base import Weighted
from causalkd.training.sharding import not_finite, whole
from causalkd.training.trainer import DistillationTrainer
from tests.processes.job import job
from tests.training.processes import GROUP, ROWS, STEPS, TERMS
from tests.training.small import models, trainer

FSDP = {"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": ["TransformerBlock"]}}
TRAININGS = {"kd": ("task", "kd"), "diito": ("task", "diito"), "atkd": ("task", "atkd"), "all": ("kd", "diito", "atkd")}


def _trainer(folder: Path, names: tuple[str, ...], **options: Any) -> DistillationTrainer:
    teacher, student = models(dropout=0.0, dtype=torch.float64)
    for module in (*teacher.model.modules(), *student.model.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    objectives = {name: Weighted(1.0, TERMS[name](teacher, student)) for name in names}
    return trainer(
        folder / "trainer",
        (teacher, student),
        objectives,
        group=GROUP,
        per_device_train_batch_size=ROWS // 2,
        max_steps=STEPS,
        use_cpu=True,
        **options,
    )


def _refusal(folder: Path, names: tuple[str, ...], **options: Any) -> str:
    try:
        _trainer(folder, names, **options)
    except ValueError as error:
        return str(error)
    raise AssertionError(f"not refused: {names} {options}")


def _train(folder: Path) -> None:
    for name, terms in TRAININGS.items():
        for kind, options in (("whole", {}), ("sharded", FSDP)):
            made = _trainer(folder, terms, **options)
            made.train()
            weights = dict(made.student.model.named_parameters())
            assert all(isinstance(weight, DTensor) == (kind == "sharded") for weight in weights.values()), kind
            made.check_weights()
            made.save_model(str(folder / f"{name}-{kind}"))
            os.environ.pop("ACCELERATE_USE_FSDP", None)  # accelerate would shard every later training
    first = next(iter(weights.values()))
    assert whole(first).shape == first.shape and not isinstance(whole(first), DTensor)
    with torch.no_grad():
        first.mul_(float("nan"))
    assert not_finite(made.student.model) == [next(iter(weights))]

    told = _refusal(folder, ("task", "adkd"), **FSDP)
    assert told.startswith("adkd differentiates the student twice, and FSDP takes its parameters away"), told
    first_version = {"fsdp": True, "fsdp_config": {"version": 1, "state_dict_type": "SHARDED_STATE_DICT"}}
    told = _refusal(folder, ("task", "kd"), **first_version)
    assert "FSDP of version 1 was asked for, which hides parameters from hooks" in told, told
    assert "of which no stock checkpoint can be made; set its state_dict_type to FULL_STATE_DICT" in told, told


if __name__ == "__main__":
    job(_train, 2, Path(sys.argv[1]))
