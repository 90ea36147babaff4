"""Moving weights to the addresses in memory that torch would have chosen, however a checkpoint was read."""

import torch

_ALIGNMENT = 64
"""Bytes: where torch's own tensors on the host begin."""


def align(model: torch.nn.Module) -> None:
    """Moves weights on the host that begin anywhere else to addresses that are multiples of 64 bytes.

    If one process reads a checkpoint, transformers maps its file into memory, and weights begin wherever they do in the
    file; if several processes read it, it copies them. Products of few rows differ between the two in their last bit,
    and so would the measurements of one and of several processes.
    """
    for weight in (*model.parameters(), *model.buffers()):
        is_plain = weight.device.type == "cpu" and type(weight.data) is torch.Tensor
        if is_plain and weight.data_ptr() % _ALIGNMENT:
            weight.data = weight.data.clone()
