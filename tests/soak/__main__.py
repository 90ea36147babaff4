"""`python -m tests.soak`: 50 kills at random moments and one at every file operation of every command."""

import argparse
import tempfile
from pathlib import Path

from tests.soak.soak import soak

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--moments", type=int, default=50, help="kills at random moments")
parser.add_argument(
    "--operations", type=int, default=None, help="kills at file operations of each command; all if not given"
)
parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
given = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    kills = soak(
        Path(folder),
        moments=given.moments,
        operations=given.operations,
        seed=given.seed,
        tell=lambda line: print(line, flush=True),
    )
print(f"{kills} kills, every run ended as one that was not killed; 0 stuck")
