"""What a loss can be computed of."""

import torch

from causalkd.losses.predictions import CompressedLogits, Unprojected
from tests.losses.heads import head


def test_a_head_is_told_from_logits_and_from_rows() -> None:
    given = head(3)
    assert isinstance(given, Unprojected)
    assert not isinstance(given, CompressedLogits) and not isinstance(
        torch.zeros(3, 11), Unprojected | CompressedLogits
    )
