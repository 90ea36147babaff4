"""The rows that every check of an architecture runs on, and what a stock model says of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from causalkd.data.positions import Positions
from causalkd.models.hooks.hooked_model import HookedModel
from tests.tiny import tiny_inputs

BASE, SOURCE = tiny_inputs(3, 8), tiny_inputs(3, 8, seed=1)
# Row, base position, source position: the real ones of rows with 8, 7 and 6 tokens.
PAIRS = ((0, 3, 5), (0, 6, 1), (1, 2, 2), (2, 0, 4), (2, 4, 3))


def positions() -> Positions:
    """The pairs of positions as an interchange takes them."""
    rows = [[(at, source) for row, at, source in PAIRS if row == number] for number in range(3)]
    width = max(map(len, rows))
    filled = torch.tensor([[*row, *[(0, 0)] * (width - len(row))] for row in rows])
    valid = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
    return Positions(filled[..., 0], filled[..., 1], valid)


def stock_logits(model: HookedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the stock model predicts at what counts; padded on the right it needs to be told nothing else."""
    return real(all_logits(model, inputs))


def all_logits(model: HookedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the stock model predicts, also at padding."""
    output = model.model(**inputs, **model.options)
    if "logits" in output:
        return output["logits"]
    return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)


def real(logits: Tensor) -> Tensor:
    """The logits that count: nobody asks what is predicted at padding."""
    return logits[BASE["attention_mask"].bool()] if logits.shape[:2] == BASE["input_ids"].shape else logits
