"""The adapters added to TransformerLens: registered with it, for classes that exist, and enough for its own bridge."""

import pytest
import torch
import transformers
from transformer_lens.factories import architecture_adapter_factory as factory

from causalkd.models.adapters import _named_adapters, adapter_for, is_causal, register_adapters
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.tiny import MODELS, tiny, tiny_inputs

BEFORE = set(factory.SUPPORTED_ARCHITECTURES)


def test_registered_once_under_stock_class_names() -> None:
    register_adapters()
    registered = dict(factory.SUPPORTED_ARCHITECTURES)
    register_adapters()
    assert registered == factory.SUPPORTED_ARCHITECTURES
    for name in _named_adapters():
        assert name in registered
        assert hasattr(transformers, name)


def test_what_transformer_lens_has_itself_stays_its_own() -> None:
    register_adapters()
    for name in ("BertForMaskedLM", "GPT2LMHeadModel", "LlamaForCausalLM"):
        assert factory.SUPPORTED_ARCHITECTURES[name].__module__.startswith("transformer_lens.")


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_the_names_an_adapter_gives_exist(architecture: str, task: Task) -> None:
    stock = tiny(architecture, task)
    adapter = adapter_for(stock)
    for path in ("embed", "blocks", "unembed", "blocks.0.attn.o", "blocks.2.mlp.out"):
        assert isinstance(stock.get_submodule(adapter.translate_transformer_lens_path(path)), torch.nn.Module)
    assert (adapter.cfg.n_layers, adapter.cfg.n_heads, adapter.cfg.d_model) == (3, 4, 32)


def test_reading_an_adapter_changes_nothing_in_the_model() -> None:
    stock = tiny("bert", "classification")
    before = {name: parameter.clone() for name, parameter in stock.state_dict().items()}
    attention = stock.config._attn_implementation
    adapter_for(stock)
    assert list(stock.state_dict()) == list(before)
    assert all(torch.equal(before[name], parameter) for name, parameter in stock.state_dict().items())
    assert stock.config._attn_implementation == attention


def test_an_unknown_class_is_refused() -> None:
    config = transformers.BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8)
    with pytest.raises(ValueError, match="BertForNextSentencePrediction has no TransformerLens adapter"):
        adapter_for(transformers.BertForNextSentencePrediction(config))


@pytest.mark.parametrize(
    ("architecture", "task"), [m for m in MODELS if m[1] in ("classification", "token_classification")]
)
def test_the_bridge_computes_what_the_stock_model_does(architecture: str, task: Task) -> None:
    """The bridge works with the heads added here, except question answering, for which TransformerLens 4.3 has no
    forward."""
    model = HookedModel(tiny(architecture, task), task=task, role="teacher")
    inputs = tiny_inputs()
    logits = model.bridge()(inputs["input_ids"], attention_mask=inputs["attention_mask"])
    counted = inputs["attention_mask"].bool()
    expected = model.run(inputs).logits
    rows = counted if expected.dim() == 3 else slice(None)
    torch.testing.assert_close(logits[rows], expected[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model_type", "task"),
    [("mistral", "question_answering"), ("gemma2", "classification"), ("bloom", "token_classification")],
)
def test_a_head_follows_from_the_language_model(model_type: str, task: Task) -> None:
    stock = tiny_of(model_type, task)
    adapter = adapter_for(stock)
    for path in ("embed", "blocks", "unembed", "blocks.0.attn.o", "blocks.2.mlp.out"):
        assert isinstance(stock.get_submodule(adapter.translate_transformer_lens_path(path)), torch.nn.Module)


def test_an_encoder_with_a_decoder_is_refused() -> None:
    sizes = {"d_model": 8, "d_ff": 8, "num_layers": 1, "num_heads": 2, "d_kv": 4, "vocab_size": 9}
    with pytest.raises(ValueError, match="T5ForConditionalGeneration is an encoder-decoder model: it has two stacks"):
        adapter_for(transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes)))
    # As the configuration of a decoder that was saved alone says it.
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 9, "is_encoder_decoder": False}
    for head in (transformers.BartForQuestionAnswering, transformers.BartForConditionalGeneration):
        with pytest.raises(ValueError, match=f"{head.__name__} is an encoder-decoder model: it has two stacks"):
            adapter_for(head(transformers.BartConfig(**sizes)))


def test_names_of_the_table() -> None:
    adapter = adapter_for(tiny_of("modernbert", "masked_lm"))
    assert adapter.translate_transformer_lens_path("blocks.1.mlp.out") == "model.layers.1.mlp.Wo"
    assert adapter.translate_transformer_lens_path("blocks.1.mlp.out", last_component_only=True) == "Wo"
    for absent in ("unembed", "blocks.x", "blocks.1.attn.q", "embed.1"):
        with pytest.raises(ValueError, match=f"{absent!r} is not the name of a module of this architecture"):
            adapter.translate_transformer_lens_path(absent)


def test_a_bridge_needs_an_adapter_of_transformer_lens() -> None:
    model = HookedModel(tiny_of("electra", "classification"), task="classification", role="teacher")
    with pytest.raises(
        ValueError, match="TransformerLens has no adapter for ElectraForSequenceClassification; use run"
    ):
        model.bridge()


def test_which_models_see_only_what_came_before() -> None:
    for model_type, task, expected in (
        ("electra", "masked_lm", False),
        ("electra", "causal_lm", True),
        ("gpt2", "question_answering", True),
        ("bert", "classification", False),
        ("biogpt", "classification", True),
    ):
        stock = tiny_of(model_type, task)
        assert is_causal(adapter_for(stock), stock) is expected
