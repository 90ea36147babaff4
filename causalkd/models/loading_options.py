"""The options of loading a checkpoint's weights: precision, devices, quantisation, attention, revision."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils.quantization_config import QuantizationConfigMixin

DeviceMap = str | Mapping[str, int | str | torch.device]


def loading_options(
    *,
    attention: str | None = None,
    dtype: torch.dtype | None = None,
    device_map: DeviceMap | None = None,
    quantization: QuantizationConfigMixin | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """The arguments of transformers' `from_pretrained`; only those that were given."""
    given = {
        "attn_implementation": attention,
        "dtype": dtype,
        "device_map": dict(device_map) if isinstance(device_map, Mapping) else device_map,
        "quantization_config": quantization,
        "revision": revision,
    }
    return {name: value for name, value in given.items() if value is not None}


def named_options(dtype: str | None, device_map: str | None) -> dict[str, Any]:
    """The same two options as a recipe names them, such as `bfloat16` and `auto`, for `load_model`."""
    return {"dtype": None if dtype is None else getattr(torch, dtype), "device_map": device_map}


def is_spread(model: PreTrainedModel) -> bool:
    """Whether the modules of a model are on several devices, between which its forward pass moves activations."""
    return len({str(device) for device in vars(model).get("hf_device_map", {}).values()}) > 1


def check_in_memory(model: PreTrainedModel, name: str) -> None:
    """Refuses a model some of whose weights `device_map` left on the disk or in another device's memory.

    Raises:
        ValueError: Some weights are not on the device that computes with them.
    """
    away = [weight for weight, parameter in model.named_parameters() if parameter.is_meta]
    if away:
        raise ValueError(
            f"device_map leaves {len(away)} weights of {name} out of their device's memory, such as {away[0]}; the "
            "activations of a block cannot be replaced there. Use more devices, a smaller dtype or quantisation"
        )
