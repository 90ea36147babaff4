"""Students sharded by FSDP2 over two processes learn what whole ones learn, and are saved as stock checkpoints."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from causalkd.training.sharding import not_finite
from tests.forked import ended
from tests.training.sharded import FSDP, TRAININGS
from tests.training.small import models, objectives, trainer


def test_sharded_students_learn_what_whole_ones_learn(tmp_path: Path) -> None:
    done = ended("tests.training.sharded", str(tmp_path))
    assert done.code == 0, done.stderr[-3000:]
    start = models(dropout=0.0, dtype=torch.float64)[1].model.state_dict()
    for name in TRAININGS:
        whole, sharded = (
            AutoModelForSequenceClassification.from_pretrained(tmp_path / f"{name}-{kind}", dtype=torch.float64)
            for kind in ("whole", "sharded")
        )
        weights, others = whole.state_dict(), sharded.state_dict()
        assert weights.keys() == others.keys() == start.keys()
        assert max((start[key] - weight).abs().max() for key, weight in weights.items()) > 1e-4
        assert max((weight - others[key]).abs().max() for key, weight in weights.items()) < 1e-12, name


def test_one_process_alone_has_nobody_to_share_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "false")  # put back afterwards
    pair = models()
    with pytest.raises(ValueError, match="Using fsdp only works in distributed training"):
        trainer(tmp_path, pair, objectives(*pair), **FSDP)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.int8])
def test_weights_that_are_not_finite_are_found_in_any_precision(dtype: torch.dtype) -> None:
    values = torch.tensor([1.0, math.nan if dtype.is_floating_point else 2.0]).to(dtype)
    model = torch.nn.Module()
    model.wrong, model.right = (torch.nn.Parameter(each, requires_grad=False) for each in (values, values[:1]))
    assert not_finite(model) == (["wrong"] if dtype.is_floating_point else [])
