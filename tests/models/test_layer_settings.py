"""Which settings follow the kept blocks, and what does not survive a save."""

from typing import Any

import pytest
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedConfig

from causalkd.models.layer_settings import keep_blocks, settings_by_number

_SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 4}


def _config(kind: str, **settings: Any) -> PreTrainedConfig:
    return CONFIG_MAPPING[kind](**{**_SIZES, **settings})


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("smollm3", {"no_rope_layers": [1, 0, 1, 0]}, {"no_rope_layers": [0, 0]}),
        (
            "qwen2",
            {"layer_types": ["full_attention", "sliding_attention"] * 2},
            {"layer_types": ["sliding_attention"] * 2},
        ),
        ("deepseek_v3", {"first_k_dense_replace": 2}, {"first_k_dense_replace": 1}),
        ("glm4_moe", {"mlp_layer_types": ["dense", "sparse"] * 2}, {"mlp_layer_types": ["sparse", "sparse"]}),
        ("qwen3_moe", {"mlp_only_layers": [0, 3]}, {"mlp_only_layers": [1]}),
        (
            "gpt_neo",
            {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]]},
            {"attention_types": [[["local"], 1]] * 2, "attention_layers": ["local"] * 2, "num_layers": 2},
        ),
    ],
)
def test_settings_follow_the_kept_blocks(kind: str, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    if kind == "gpt_neo":
        config = CONFIG_MAPPING[kind](hidden_size=32, **settings)
    else:
        config = _config(kind, **settings)
    before = config.to_dict()
    kept = keep_blocks(config, [1, 3])
    assert kept.num_hidden_layers == 2
    assert {name: getattr(kept, name) for name in expected} == expected
    assert config.to_dict() == before
    same = type(config).from_dict(kept.to_dict())
    assert same.to_dict() == kept.to_dict()


def test_the_blocks_of_a_decoder_alone_are_not_those_of_the_encoder_it_lacks() -> None:
    sizes = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 4}
    kept = keep_blocks(CONFIG_MAPPING["bart"](**sizes, is_encoder_decoder=False, is_decoder=True), [1, 3])
    assert (kept.encoder_layers, kept.decoder_layers) == (3, 2)


def test_no_more_shared_blocks_than_layers() -> None:
    config = _config("albert", num_hidden_groups=3)
    assert [keep_blocks(config, kept).num_hidden_groups for kept in ([0], [0, 2], [0, 1, 2, 3])] == [1, 2, 3]


def test_a_count_of_first_blocks_stays_where_they_do_not_come_first() -> None:
    config = _config("deepseek_v3", first_k_dense_replace=2)
    assert keep_blocks(config, [3, 0]).first_k_dense_replace == 2


def test_lists_that_have_no_entry_a_block_stay() -> None:
    config = _config("llama", eos_token_id=[1, 2, 3, 4])
    assert keep_blocks(config, [0]).eos_token_id == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("kind", "name", "sizes"),
    [("mamba2", "time_step_limit", {"num_heads": 8, "head_dim": 8}), ("falcon_h1", "mlp_multipliers", {})],
)
def test_two_bounds_are_not_of_two_blocks(kind: str, name: str, sizes: dict[str, int]) -> None:
    config = _config(kind, **{**sizes, "num_hidden_layers": 2, name: [0.01, 0.1]})
    assert list(getattr(keep_blocks(config, [1, 0]), name)) == [0.01, 0.1]


def test_the_text_part_of_a_nested_configuration() -> None:
    text = CONFIG_MAPPING["gemma3_text"](**_SIZES, layer_types=["sliding_attention", "full_attention"] * 2)
    config = CONFIG_MAPPING["gemma3"](text_config=text.to_dict())
    kept = keep_blocks(config, [1, 3])
    assert kept.get_text_config().num_hidden_layers == 2
    assert kept.get_text_config().layer_types == ["full_attention"] * 2
    assert kept.vision_config.to_dict() == config.vision_config.to_dict()


def test_the_attention_implementation_stays_and_quantisation_does_not() -> None:
    config = _config("llama")
    config._attn_implementation = "eager"
    config.quantization_config = {"quant_method": "gguf"}
    kept = keep_blocks(config, [0])
    assert kept._attn_implementation == "eager"
    assert "quantization_config" not in kept.to_dict()


def test_settings_that_do_not_read_back_are_named() -> None:
    """This architecture makes its last block's attention full, whatever is saved."""
    config = _config("gemma4_text", layer_types=["sliding_attention", "full_attention"] * 2)
    with pytest.raises(ValueError) as caught:
        keep_blocks(config, [0, 2])
    assert "blocks [0, 2] of a gemma4_text cannot be saved: layer_types would be read back as" in str(caught.value)
    assert keep_blocks(config, [0, 3]).layer_types == ["sliding_attention", "full_attention"]
    with pytest.raises(ValueError, match=r"of a gemma4 cannot be saved: text_config.layer_types would be read back as"):
        keep_blocks(CONFIG_MAPPING["gemma4"](text_config=config.to_dict()), [0, 2])


@pytest.mark.parametrize("by_layer", [True, False])
def test_which_settings_are_read_with_a_number(by_layer: bool) -> None:
    settings = {"n_embd": 32, "n_head": 4, "n_layer": 2, "vocab_size": 50}
    config = CONFIG_MAPPING["gpt2"](**settings, scale_attn_by_inverse_layer_idx=by_layer)
    assert (
        "scale_attn_by_inverse_layer_idx" in settings_by_number(AutoModelForCausalLM.from_config(config))
    ) == by_layer
