"""How large everything is that is run on a device."""

from dataclasses import dataclass, field

from tests.benchmarks.setting import FULL, SMOKE, Setting


@dataclass(frozen=True)
class Sizes:
    """Shapes of the losses that are compared; shapes and rounds of what is timed."""

    tokens: int
    vocabulary: int
    width: int
    bench: Setting = field(default=FULL)


WHOLE = Sizes(tokens=512, vocabulary=8192, width=256)
"""A minute or two on an accelerator."""
TINY = Sizes(tokens=12, vocabulary=97, width=16, bench=SMOKE)
"""Shows that everything runs."""
