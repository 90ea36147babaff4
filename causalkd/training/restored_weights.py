"""The weights of a checkpoint that transformers' Trainer leaves out when it resumes from it.

It takes weights by the names in the checkpoint's file. Some stock checkpoints have other names than their models, such
as GPT-NeoX for its head, or other tensors, such as one matrix for each expert of a mixture; `from_pretrained` alone
knows which. A parameter without such a weight would keep its initial value, and only the Trainer's log says so.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from causalkd.errors import few


def restore_rest(model: PreTrainedModel, folder: Path) -> None:
    """Loads the weights that the checkpoint's files have under other names than the model.

    Costs nothing if there are none; otherwise the checkpoint is in memory once more meanwhile.

    Args:
        model: Has the checkpoint's other weights already.
        folder: A checkpoint of this model.

    Raises:
        ValueError: The checkpoint has no such weights under any name.
    """
    rest = _under_other_names(model, folder)
    if not rest:
        return
    loaded: Any = type(model).from_pretrained(
        folder, config=model.config, dtype=model.dtype, output_loading_info=True, trust_remote_code=False
    )
    again, found = loaded
    weights = again.state_dict()
    lost = [name for name in rest if name not in weights or name in found["missing_keys"]]
    if lost:
        raise ValueError(
            f"the checkpoint {folder} has no weights that transformers reads as {few(lost)} of this "
            f"{type(model).__name__}, so a training cannot go on from it; train again from the beginning"
        )
    with torch.no_grad():
        model.load_state_dict({name: weights[name] for name in rest}, strict=False)


def _under_other_names(model: PreTrainedModel, folder: Path) -> list[str]:
    written: set[str] = set()
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, "pt") as opened:
            written.update(opened.keys())
    weights = model.state_dict()
    # Tied weights are written once.
    loaded = {weight.data_ptr() for name, weight in weights.items() if name in written}
    return [name for name, weight in weights.items() if name not in written and weight.data_ptr() not in loaded]
