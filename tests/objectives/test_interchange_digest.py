"""Equal digests where a row receives the same, and only there."""

import torch

from causalkd.data.positions import Positions
from causalkd.objectives.interchange_digest import interchange_digest

INPUTS = {
    "input_ids": torch.tensor([[5, 6, 7], [5, 6, 8], [5, 6, 7]]),
    "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0]]),
}
POSITIONS = Positions(torch.tensor([[0, 1]] * 3), torch.tensor([[1, 0]] * 3), torch.tensor([[True, True]] * 3))


def test_source_and_positions_tell_rows_apart() -> None:
    plain = interchange_digest(INPUTS, POSITIONS)
    assert plain.shape == (3, 4) and len({tuple(row) for row in plain.tolist()}) == 3
    assert torch.equal(interchange_digest(INPUTS, POSITIONS), plain)
    shorter = Positions(POSITIONS.base, POSITIONS.source, torch.tensor([[True, False]] * 3))
    assert not (interchange_digest(INPUTS, shorter) == plain).all(1).any()
    assert not (interchange_digest(INPUTS, POSITIONS.swapped()) == plain).all(1).any()


def test_padding_of_tokens_and_of_positions_does_not_count() -> None:
    wider = {name: torch.nn.functional.pad(tensor, (0, 2), value=0) for name, tensor in INPUTS.items()}
    parts = (POSITIONS.base, POSITIONS.source, POSITIONS.valid)
    padded = Positions(*(torch.nn.functional.pad(part, (0, 1), value=0) for part in parts))
    assert torch.equal(interchange_digest(wider, padded), interchange_digest(INPUTS, POSITIONS))
