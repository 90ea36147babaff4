"""A short version of `make soak`, in a process that has computed nothing: forks must not come after computations."""

import re

from tests.forked import ended


def test_killed_runs_end_as_runs_that_were_not_killed() -> None:
    done = ended("tests.soak", "--moments", "1", "--operations", "1", environment={"MPLBACKEND": "Agg"})
    assert done.code == 0, done.stdout + done.stderr
    told = re.search(r"^(\d+) kills, every run ended as one that was not killed; 0 stuck$", done.stdout, re.MULTILINE)
    assert told and int(told[1]) >= 4  # one at an operation of each command; the random moment may come too late
