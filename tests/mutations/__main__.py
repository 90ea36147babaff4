"""`python -m tests.mutations`: 1,000 mutated recipes, alignments, data, checkpoints, folders and arguments."""

import argparse
import contextlib
import tempfile
from pathlib import Path

from causalkd.runs import distill as runs
from tests.mutations.folders import checkpoint
from tests.mutations.tries import KINDS, Inputs, faults
from tests.shrunk import RESUMED, shrunk

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tries", type=int, default=1000, help="how many, shared among the kinds")
parser.add_argument("--first", type=int, default=0, help="the first seed of each kind")
parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
given = parser.parse_args()
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    base = Path(folder)
    runs.distill(shrunk("quickstart", base / "finished", *RESUMED))
    inputs = Inputs(base, base / "finished", checkpoint(base))
    for kind in given.kinds:
        found = faults(inputs, kind, range(given.first, given.first + -(-given.tries // len(given.kinds))))
        print(f"{kind}: {found}", *found.faults, sep="\n  ", flush=True)
