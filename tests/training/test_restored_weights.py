"""A training goes on with every weight of its checkpoint, whatever the file calls them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, TrainingArguments

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.lora import add_lora
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import TaskLoss
from causalkd.training.restored_weights import restore_rest
from causalkd.training.trainer import DistillationTrainer
from tests.architectures.zoo import tiny_of

# GPT-NeoX has a head of another name in the file, a mixture a tensor for each expert, the last nothing of its own name.
OTHERWISE = ("gpt_neox", "mixtral", "qwen3_moe", "gemma3")
AS_IT_IS = ("gpt2", "llama")


def _trainer(model: PreTrainedModel, folder: Path) -> DistillationTrainer:
    student = HookedModel(model, task="causal_lm", role="student")
    args = TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none")
    return DistillationTrainer(student, {"task": Weighted(1.0, TaskLoss())}, args=args)


def _other(model: PreTrainedModel) -> None:
    """Makes a model of other weights."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)


def _same(one: PreTrainedModel, other: PreTrainedModel) -> list[str]:
    """The weights in which two models differ."""
    weights = other.state_dict()
    return [name for name, weight in one.state_dict().items() if not torch.equal(weight, weights[name])]


@pytest.mark.parametrize("kind", [*AS_IT_IS, *OTHERWISE])
@pytest.mark.parametrize("best", [False, True])
def test_a_training_goes_on_with_every_weight(kind: str, best: bool, tmp_path: Path) -> None:
    """Before, what the file has under another name stayed as it was at the start, and the run gave another student."""
    saved, model = tiny_of(kind, "causal_lm"), tiny_of(kind, "causal_lm")
    checkpoint = tmp_path / "checkpoint-3"
    saved.save_pretrained(checkpoint)
    _other(model)
    trainer = _trainer(model, tmp_path)
    if best:
        trainer.state.best_global_step = 3
        trainer._load_best_model()
    else:
        trainer._load_from_checkpoint(str(checkpoint))
    assert _same(saved, trainer.student.model) == []


@pytest.mark.parametrize("kind", AS_IT_IS)
def test_nothing_is_read_again_where_the_names_are_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_of(kind, "causal_lm")
    model.save_pretrained(tmp_path)
    monkeypatch.setattr(type(model), "from_pretrained", None)
    restore_rest(model, tmp_path)


@pytest.mark.parametrize("kind", ["gpt_neox", "mixtral"])
def test_adapters_are_restored_beside_frozen_weights_of_other_names(kind: str, tmp_path: Path) -> None:
    models = [HookedModel(tiny_of(kind, "causal_lm"), task="causal_lm", role="student") for _ in range(2)]
    for model in models:
        add_lora(model, rank=2)
    saved, student = models
    with torch.no_grad():
        for name, weight in saved.model.named_parameters():
            weight.add_(1.0 if "lora" in name else 0.0)
    saved.model.save_pretrained(tmp_path / "checkpoint-3")
    _trainer(student.model, tmp_path)._load_from_checkpoint(str(tmp_path / "checkpoint-3"))
    assert _same(saved.model, student.model) == []


def test_weights_that_are_nowhere_are_named(tmp_path: Path) -> None:
    model = tiny_of("mixtral", "causal_lm")
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = {name: weight for name, weight in load_file(file).items() if "experts" not in name}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"has no weights that .* reads as model.layers.0.mlp.experts.* cannot go on"):
        restore_rest(model, tmp_path)
