"""Students that learn by low-rank adapters."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.models.lora import add_lora
from causalkd.task_types import Task
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs()


def _hooked(architecture: str = "llama", task: Task = "causal_lm", role: Role = "student") -> HookedModel:
    return HookedModel(tiny(architecture, task), task=task, role=role)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_adapters_change_nothing_until_they_learn_and_are_saved_merged(architecture: str, tmp_path: Path) -> None:
    student, stock = _hooked(architecture), tiny(architecture, "causal_lm")
    state = torch.get_rng_state()
    add_lora(student, rank=2, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    before = stock(**INPUTS).logits
    assert torch.allclose(student.model(**INPUTS).logits, before, atol=1e-6)
    trained = {name: weight for name, weight in student.model.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    optimizer = torch.optim.SGD(trained.values(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        student.run(INPUTS).logits.square().mean().backward()
        optimizer.step()
    after = student.model(**INPUTS).logits
    assert not torch.allclose(after, before, atol=1e-3)
    student.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.allclose(again(**INPUTS).logits, after, atol=1e-5)
    assert again.state_dict().keys() == stock.state_dict().keys()


def test_the_seed_draws_the_factors() -> None:
    drawn = []
    for seed, targets in ((0, ["q_proj"]), (0, "q_proj"), (1, ["q_proj"])):
        student = _hooked()
        add_lora(student, targets=targets, seed=seed)
        drawn.append({name: weight for name, weight in student.model.named_parameters() if "lora_A" in name})
    assert len(drawn[0]) == 3 and all("q_proj" in name for name in drawn[0])
    same = [all(torch.equal(weight, other[name]) for name, weight in drawn[0].items()) for other in drawn[1:]]
    assert same == [True, False]


def test_a_classifier_s_head_learns_too() -> None:
    student = _hooked("bert", "classification")
    add_lora(student)
    whole = {name for name, weight in student.model.named_parameters() if weight.requires_grad and "lora" not in name}
    assert whole == {"classifier.weight", "classifier.bias"}


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is a teacher; LoRA is for a student without adapters"):
        add_lora(_hooked(role="teacher"))
    student = _hooked()
    with pytest.raises(
        ValueError, match=r"targets \['q_proj', 'lm_head'\]: lm_head is not a linear layer in the blocks of"
    ):
        add_lora(student, targets=["q_proj", "lm_head"])
    with pytest.raises(ValueError, match="alpha=0, by which the adapters' output is scaled"):
        add_lora(student, alpha=0)
    add_lora(student)
    with pytest.raises(ValueError, match="is adapted already"):
        add_lora(student)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="LoRA needs peft, which is not installed"):
        add_lora(_hooked())
