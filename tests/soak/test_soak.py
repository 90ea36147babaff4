"""A short version of `make soak`, in a process of its own: forks must not come after computations."""

import os
import subprocess
import sys


def test_killed_runs_end_as_runs_that_were_not_killed() -> None:
    command = [sys.executable, "-m", "tests.soak", "--moments", "1", "--operations", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " kills, every run ended as one that was not killed; 0 stuck" in done.stdout
