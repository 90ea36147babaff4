"""Weights lie in memory as torch would have put them, however a checkpoint was read."""

import torch

_ALIGNMENT = 64
"""Bytes: where torch's own tensors on the host begin."""


def align(model: torch.nn.Module) -> None:
    """Moves weights on the host that begin anywhere else to addresses that are multiples of 64 bytes.

    transformers maps the file of a checkpoint into memory where one process reads it, and then weights begin wherever
    they do in the file; where several processes read it, it copies them. Products of few rows differ with that in their
    last bit, and so would what one and several processes measure.
    """
    for weight in (*model.parameters(), *model.buffers()):
        is_plain = weight.device.type == "cpu" and type(weight.data) is torch.Tensor
        if is_plain and weight.data_ptr() % _ALIGNMENT:
            weight.data = weight.data.clone()
