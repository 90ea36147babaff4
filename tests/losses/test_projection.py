"""Parts of a head's logits are those of the whole, in one buffer."""

import pytest
import torch

from causalkd.losses.projection import Projection
from tests.losses.heads import head


@pytest.mark.parametrize("settings", [{}, {"bias": False, "scale": 0.5}, {"cap": 1.5, "scale": 2.0}])
def test_parts_are_those_of_the_whole(settings: dict) -> None:
    given = head(6, **settings, learns=False)
    found = Projection.of_teacher(given, 12)
    whole = given.whole()
    for rows, entries in ((slice(0, 3), slice(2, 6)), (slice(4, 6), slice(5, 11))):
        torch.testing.assert_close(found.logits(rows, entries), whole[rows, entries], rtol=1e-12, atol=1e-12)
    first, second = found.logits(slice(0, 1)), found.logits(slice(1, 2))
    assert first.data_ptr() == second.data_ptr()
