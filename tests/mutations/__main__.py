"""`python -m tests.mutations`: 1,000 mutated recipes, alignments, data, checkpoints, run folders and arguments."""

import argparse
import contextlib
import tempfile
from pathlib import Path

from causalkd.runs import distill as runs
from tests.mutations.tries import KINDS, Inputs, faults
from tests.shrunk import RESUMED, planted_model, shrunk

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tries", type=int, default=1000, help="how many, shared among the kinds")
parser.add_argument("--first", type=int, default=0, help="the seed of each kind's first try; its others follow")
parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
given = parser.parse_args()
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    base = Path(folder)
    runs.distill(shrunk("quickstart", base / "finished", *RESUMED))
    planted_model(num_hidden_layers=2).save_pretrained(base / "model")
    inputs = Inputs(base, base / "finished", base / "model")
    for kind in given.kinds:
        amount, found = -(-given.tries // len(given.kinds)), 0
        for seed in range(given.first, given.first + amount):
            for fault in faults(inputs, kind, iter([seed])):
                print(f"{kind}: {fault}", flush=True)
                found += 1
        print(f"{kind}: {amount} tries, {found} faults", flush=True)
