"""Configurations of fresh models: what transformers would ignore or refuse late is refused at once."""

import pytest

from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.models.configs import make_config
from tests.tiny import ARCHITECTURES

TOKENIZER = PlantedNLI().tokenizer()
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_usual_names_work_for_every_architecture(architecture: str) -> None:
    config = make_config({"model_type": architecture, **SIZES}, TOKENIZER)
    assert (config.model_type, config.vocab_size) == (architecture, len(TOKENIZER))
    assert config.pad_token_id == TOKENIZER.pad_token_id
    assert {key: getattr(config, key) for key in SIZES} == SIZES


def test_settings_win_over_the_tokenizer() -> None:
    config = make_config({"model_type": "llama", "vocab_size": 99, "pad_token_id": 7, "rope_theta": 5000.0}, TOKENIZER)
    assert (config.vocab_size, config.pad_token_id) == (99, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "brt"}, "model_type: transformers has no 'brt'; did you mean bert?"),
        ({"hidden_size": 3}, "model_type: transformers has no None; choose one of bert, distilbert, roberta, gpt2"),
        ({"model_type": "gpt2", "n_ebd": 3}, "n_ebd: unknown key of gpt2; did you mean n_embd?"),
        ({"model_type": "bert", "hidden_size": "wide"}, "refuses this configuration of bert: .*expected int, got str"),
    ],
)
def test_what_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        make_config(settings, TOKENIZER)


def test_every_unknown_key_is_reported() -> None:
    with pytest.raises(ValueError) as caught:
        make_config({"model_type": "bert", "hiden_size": 3, "num_layrs": 2}, TOKENIZER)
    assert len(str(caught.value).splitlines()) == 2
