"""A program: what processes share, tell and wait for, in three of them: `python -m tests.processes.together`."""

import os
import time
from datetime import timedelta

import torch
from accelerate import PartialState

from causalkd.processes.processes import FailedElsewhere, ProcessLost, all_processes
from tests.processes.job import job


def _meet() -> None:
    PartialState(timeout=timedelta(seconds=1), cpu=True)  # how long trainings wait for each other here
    processes = all_processes()
    mine = [number**2 for number in processes.share(7)]
    assert processes.together(mine) == [0, 1, 4, 9, 16, 25, 36]
    assert processes.gather(processes.rank) == [0, 1, 2]
    moved = processes.together({processes.rank: [torch.full((2,), float(processes.rank))]})
    assert [each[0].tolist() for each in moved.values()] == [[0, 0], [1, 1], [2, 2]]

    def slow() -> str:
        time.sleep(2.5)
        return f"from {processes.rank}"

    assert processes.in_first(slow) == "from 0"
    try:
        processes.in_first(lambda: [].pop())
    except IndexError:
        assert processes.is_first
    except FailedElsewhere as told:
        assert not processes.is_first and "IndexError: pop from empty list" in str(told)
    else:
        raise AssertionError("a fault was not told")
    if not processes.is_first:
        time.sleep(0.5)
    processes.wait()
    # In one write: print may give a line and its end to the pipe in two, between which another process writes.
    os.write(1, f"process {processes.rank} is done\n".encode())


def _lose() -> None:
    processes = all_processes()
    if not processes.is_first:
        os._exit(0)
    try:
        processes.wait()
    except ProcessLost as told:
        assert "another process of this job ended" in str(told)
        print("process 1 is lost", flush=True)


if __name__ == "__main__":
    job(_meet, 3)
    job(_lose, 2)
