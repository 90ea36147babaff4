"""What objectives learn: optimised with the student, kept beside its checkpoints and never in them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from causalkd.objectives.base import Weighted
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD
from causalkd.training.objective_parameters import ObjectiveParameters
from tests.training.small import models, objectives, trainer


def _learned(seed: int = 0) -> ObjectiveParameters:
    teacher, student = models()
    projected = HiddenKD(teacher, student, projection=True, seed=seed)
    return ObjectiveParameters({"response_kd": Weighted(1.0, ResponseKD()), "hidden_kd": Weighted(1.0, projected)})


def test_only_objectives_with_parameters_have_any() -> None:
    assert [tuple(parameter.shape) for parameter in _learned().parameters] == [(32, 32)]
    nothing = ObjectiveParameters({"response_kd": Weighted(1.0, ResponseKD())})
    assert nothing.parameters == []


def test_saved_and_read_back(tmp_path: Path) -> None:
    one, other = _learned(0), _learned(1)
    one.save(tmp_path)
    assert list(load_file(tmp_path / "objectives.safetensors")) == ["hidden_kd._project.weight"]
    assert not torch.equal(one.parameters[0], other.parameters[0])
    other.load(tmp_path)
    assert torch.equal(one.parameters[0], other.parameters[0])


def test_nothing_learned_writes_and_reads_nothing(tmp_path: Path) -> None:
    nothing = ObjectiveParameters({"response_kd": Weighted(1.0, ResponseKD())})
    nothing.save(tmp_path)
    nothing.load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_process_keeps_its_gradient() -> None:
    learned = _learned()
    learned.average_gradients()
    learned.parameters[0].sum().backward()
    assert learned.parameters[0].grad is not None
    assert torch.equal(learned.parameters[0].grad, torch.ones(32, 32))


def test_an_optimizer_that_leaves_them_out_is_refused(tmp_path: Path) -> None:
    pair = models()
    terms = objectives(*pair, projection=True)
    weights = list(pair[1].model.parameters())
    one = trainer(tmp_path, pair, terms, optimizers=(torch.optim.AdamW(weights), None))
    with pytest.raises(ValueError, match="hidden_kd learns parameters that the given optimizer does not train"):
        one.create_optimizer()
    weights += terms["hidden_kd"].objective.parameters()  # type: ignore[attr-defined]
    mine = torch.optim.AdamW(weights)
    assert trainer(tmp_path, pair, terms, optimizers=(mine, None)).create_optimizer() is mine


def test_the_trainer_trains_and_keeps_them(tmp_path: Path) -> None:
    teacher, student = models()
    terms = objectives(teacher, student, projection=True)
    projection = next(iter(terms["hidden_kd"].objective.parameters()))  # type: ignore[attr-defined]
    before = projection.detach().clone()
    one = trainer(
        tmp_path, (teacher, student), terms, max_steps=2, save_strategy="steps", save_steps=2, weight_decay=0.1
    )
    one.train()
    assert not torch.equal(projection, before)
    assert projection.grad is None  # or it would add to those of the next step
    assert one.optimizer is not None and one.optimizer.param_groups[-1]["params"] == [projection]
    assert one.optimizer.param_groups[-1]["weight_decay"] == pytest.approx(0.1)
    assert not any("project" in name for name in load_file(tmp_path / "checkpoint-2" / "model.safetensors"))
    kept = load_file(tmp_path / "checkpoint-2" / "objectives.safetensors")
    assert torch.equal(kept["hidden_kd._project.weight"], projection)
