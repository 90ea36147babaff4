"""A digest of what a row receives in an interchange: its source and the positions, however wide the batch is."""

import hashlib

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.data.batch import Inputs
from causalkd.data.positions import Positions

_NUMBERS = 4  # of 64 bits


def interchange_digest(source: Inputs, positions: Positions) -> Int[Tensor, "batch 4"]:
    """One digest for each row, as four whole numbers, which are equal if and only if source and positions are.

    Costs a copy of both to the host.
    """
    masks = source["attention_mask"].cpu().bool()
    tokens = {name: tensor.cpu() for name, tensor in sorted(source.items()) if name != "attention_mask"}
    base, read, valid = (part.cpu() for part in (positions.base, positions.source, positions.valid))
    rows = []
    for row, mask in enumerate(masks):
        # The tokens' positions, the tokens, and which positions are replaced by which, each preceded by its name.
        parts = [("stands", mask.nonzero()[:, 0]), *((name, tensor[row][mask]) for name, tensor in tokens.items())]
        parts += [("base", base[row][valid[row]]), ("source", read[row][valid[row]])]
        text = repr([(name, part.tolist()) for name, part in parts]).encode()
        digest = hashlib.sha256(text).digest()
        rows.append([int.from_bytes(digest[8 * n : 8 * n + 8], "big", signed=True) for n in range(_NUMBERS)])
    return torch.tensor(rows, dtype=torch.long)
