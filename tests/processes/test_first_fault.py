"""Of the processes of a job, the one that fails first says so."""

import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from causalkd.processes.first_fault import is_first_fault


def test_a_process_that_is_alone_says_its_own_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert is_first_fault() and is_first_fault()


def test_only_the_first_fault_is_said_and_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    given = {"WORLD_SIZE": "3", "RANK": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(launcher.port)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert [is_first_fault() for _ in range(3)] == [True, False, False]
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert [is_first_fault() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("rank", "first"), [("0", True), ("1", False)])
def test_without_a_store_rank_0_says_it(monkeypatch: pytest.MonkeyPatch, rank: str, first: bool) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert is_first_fault() == first
