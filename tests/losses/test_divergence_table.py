import subprocess
import sys

import pytest
import torch

from causalkd.losses.divergence_table import DIVERGENCES
from causalkd.registries import imported


@pytest.mark.parametrize("key", DIVERGENCES)
def test_every_entry_is_zero_at_agreement_and_positive_elsewhere(key: str) -> None:
    divergence, logits = imported(DIVERGENCES[key].function), torch.randn(3, 5, dtype=torch.float64)
    assert divergence(logits, logits, None, 2.0).item() == pytest.approx(0, abs=1e-12)
    assert divergence(logits, -logits, None, 2.0).item() > 0


@pytest.mark.parametrize("key", [key for key, entry in DIVERGENCES.items() if entry.share is not None])
def test_a_share_is_an_argument(key: str) -> None:
    entry, logits = DIVERGENCES[key], torch.randn(3, 5, dtype=torch.float64)
    values = {imported(entry.function)(logits, -logits, None, 1.0, **{entry.share: share}) for share in (0.2, 0.7)}
    assert len({value.item() for value in values}) == 2


def test_the_table_loads_no_torch() -> None:
    program = "import sys, causalkd.losses.divergence_table; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
