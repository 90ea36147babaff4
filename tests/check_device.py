"""Checks what is true on the accelerator that torch sees, and prints one table; without one it says so and ends.

The table has the parity of losses and of an interchange intervention with a processor in float64, times of the
benchmark's steps, the memory of a large vocabulary, and where the host waits for the device.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import torch

from tests.device.costs import memory, times
from tests.device.line import Line, table
from tests.device.parity import interchange_beside_cpu, losses_beside_cpu
from tests.device.sizes import WHOLE, Sizes
from tests.device.waiting import waits

Check = Callable[[torch.device, Sizes], list[Line]]
CHECKS: tuple[Check, ...] = (losses_beside_cpu, interchange_beside_cpu, times, memory, waits)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 where a line of the table fails, 0 also where there is nothing to check."""
    argparse.ArgumentParser(
        prog="python -m tests.check_device", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args(arguments)
    device = accelerator()
    if device is None:
        print("Torch sees no accelerator on this machine, so there is nothing to check.")
        return 0
    begin = time.monotonic()
    lines = checked(device, WHOLE)
    print(f"{device} with torch {torch.__version__}, {time.monotonic() - begin:.0f} s\n{table(lines)}")
    return 0 if all(line.is_good for line in lines) else 1


def accelerator() -> torch.device | None:
    """What torch sees of CUDA, MPS and the others; None where there is none that works."""
    return torch.accelerator.current_accelerator(check_available=True)


def checked(device: torch.device, sizes: Sizes, checks: Sequence[Check] = CHECKS) -> list[Line]:
    """The lines of all checks; one that an error ends is a line that failed, and the others still run."""
    lines: list[Line] = []
    for check in checks:
        try:
            lines += check(device, sizes)
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            said = str(error).splitlines() or [""]
            lines.append(Line(check.__name__, None, "", note=f"{type(error).__name__}: {said[0]}", has_failed=True))
    return lines


if __name__ == "__main__":
    sys.exit(main())
