"""Several processes share numbered pieces, put together what they found, and wait for each other with patience."""

import pytest

from causalkd.processes.processes import ALONE, Processes
from tests.forked import ended


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("size", [0, 1, 7, 8])
def test_shares_are_neighbours_and_all_pieces(count: int, size: int) -> None:
    shares = [Processes(count, rank).share(size) for rank in range(count)]
    assert [number for share in shares for number in share] == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_share_begins_only_where_it_may() -> None:
    shares = [Processes(3, rank).share(6, lambda number: number in (0, 3)) for rank in range(3)]
    assert shares == [range(0, 0), range(0, 3), range(3, 6)]
    assert [Processes(2, rank).share(2, lambda number: False) for rank in range(2)] == [range(0, 0), range(0, 2)]


def test_one_process_is_alone() -> None:
    alone = ALONE
    assert alone.is_first and alone.gather("x") == ["x"] and alone.together([1, 2]) == [1, 2]
    assert alone.in_first(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        alone.in_first(lambda: 1 / 0)


def test_processes_meet_and_wait_longer_than_a_training_would() -> None:
    done = ended("tests.processes.together")
    assert done.code == 0, done.stderr[-3000:]
    *done_by, lost = done.stdout.splitlines()
    assert sorted(done_by) == [f"process {rank} is done" for rank in range(3)] and lost == "process 1 is lost"
