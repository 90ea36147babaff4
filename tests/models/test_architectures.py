"""The table of architectures, and an architecture that is added to it in user code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BertConfig, ModernBertConfig

from causalkd.models import architectures
from causalkd.models.adapters import adapter_for
from causalkd.models.architectures import Architecture, architecture_of, refusal_of, register_architecture
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from tests.architectures.checks import interchanges
from tests.architectures.toy import ToyConfig, ToyForCausalLM
from tests.architectures.zoo import tiny_of
from tests.tiny import VOCABULARY


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyForCausalLM]:
    monkeypatch.setattr(architectures, "_ARCHITECTURES", dict(architectures._ARCHITECTURES))
    torch.manual_seed(0)
    yield ToyForCausalLM(ToyConfig(vocab_size=VOCABULARY)).eval()


def test_an_unknown_architecture_is_added_with_one_entry(toy: ToyForCausalLM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ToyForCausalLM has no TransformerLens adapter.*register_architecture"):
        HookedModel(toy, task="causal_lm", role="teacher")
    # What a user writes, beside the model itself:
    AutoConfig.register("toy", ToyConfig, exist_ok=True)
    AutoModelForCausalLM.register(ToyConfig, ToyForCausalLM, exist_ok=True)
    register_architecture("toy", Architecture("tokens", "layers", "mixer.out", "down"))
    toy.save_pretrained(tmp_path)
    model = load_model(tmp_path, task="causal_lm", role="student")  # tries it, see self_test
    assert (model.n_layers, model.width, model.decodes, len(model.hook_points())) == (3, 8, True, 19)
    assert model.hook_point("mlp_output", 1).module == "body.layers.1.down"
    assert (
        interchanges(model, [hook_point.component for hook_point in model.hook_points() if hook_point.layer == 1])
        is None
    )


def test_a_wrong_entry_is_refused(toy: ToyForCausalLM) -> None:
    register_architecture("toy", Architecture("tokens", "blocks"))
    with pytest.raises(ValueError, match="ToyForCausalLM has no single list of blocks where its adapter says"):
        HookedModel(toy, task="causal_lm", role="teacher")


def test_one_entry_is_enough_for_every_head() -> None:
    for task in ("masked_lm", "classification", "token_classification", "question_answering"):
        stock = tiny_of("electra", task)
        adapter = adapter_for(stock)
        for path in ("embed", "blocks", "blocks.0.attn.o", "blocks.2.mlp.out"):
            assert adapter.translate_transformer_lens_path(path) in dict(stock.named_modules())


def test_what_transformer_lens_knows_needs_no_entry() -> None:
    assert architecture_of("llama") is None and architecture_of(BertConfig.model_type) is None
    assert architecture_of("modernbert") is not None and refusal_of(ModernBertConfig()) is None


def test_a_type_that_cannot_be_trusted_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="YoutuForCausalLM is refused: transformers sets the embedding of its padding"):
        adapter_for(tiny_of("youtu", "causal_lm"))
