"""Checkpoints that name another class than the one that transformers has are loaded as that class, and right."""

import json
from pathlib import Path

import pytest
import torch

from causalkd.models.load import load_model
from tests.architectures.inputs import BASE, stock_logits
from tests.architectures.zoo import tiny_of


@pytest.mark.parametrize(
    ("model_type", "name"),
    [("mpt", "MPTForCausalLM"), ("phimoe", "PhiMoEForCausalLM"), ("jetmoe", "JetMoEForCausalLM")],
)
def test_another_name_of_the_class(model_type: str, name: str, tmp_path: Path) -> None:
    stock = tiny_of(model_type, "causal_lm")
    stock.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": [name]}))
    loaded = load_model(tmp_path, task="causal_lm", role="teacher")
    assert type(loaded.model) is type(stock)
    with torch.no_grad():
        torch.testing.assert_close(stock_logits(loaded, BASE), stock(**BASE).logits[BASE["attention_mask"].bool()])


def test_a_body_whose_head_is_its_embedding(tmp_path: Path) -> None:
    stock = tiny_of("bloom", "causal_lm")
    stock.base_model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["BloomModel"]
    loaded = load_model(tmp_path, task="causal_lm", role="teacher")
    with torch.no_grad():
        torch.testing.assert_close(stock_logits(loaded, BASE), stock(**BASE).logits[BASE["attention_mask"].bool()])
