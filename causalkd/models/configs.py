"""Configurations of models with fresh weights, checked more strictly than transformers does."""

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerBase

from causalkd.errors import nearest
from causalkd.files.refusals import refused

_USUAL_TYPES = ["bert", "distilbert", "roberta", "gpt2", "opt", "gpt_neox", "llama", "qwen2"]
# Keys that configurations take although none has a field of that name.
_FURTHER_KEYS = ["num_labels", "attn_implementation", "rope_theta", "rope_scaling"]


def make_config(settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    """A configuration with this tokenizer's vocabulary, padding and ends of texts, unless the settings say otherwise.

    Args:
        settings: `model_type` and keys of that type's configuration.
        tokenizer: The model's tokenizer.

    Raises:
        ValueError: No such type, keys it does not have (which transformers would ignore), or values it refuses.
    """
    values = dict(settings)
    kind = values.pop("model_type", None)
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ValueError(f"model_type: transformers has no {kind!r}; {nearest(str(kind), _USUAL_TYPES)}")
    made = CONFIG_MAPPING[kind]
    known = [*made().to_dict(), *made.attribute_map, *_FURTHER_KEYS]
    unknown = [f"{key}: unknown key of {kind}; {nearest(key, known)}" for key in values if key not in known]
    if unknown:
        raise ValueError("\n".join(unknown))
    with refused(f"transformers refuses this configuration of {kind}", "correct the value"):
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        return made(**{"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **ends, **values})
