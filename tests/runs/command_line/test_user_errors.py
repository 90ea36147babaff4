import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from causalkd.alignment.spec import Site
from causalkd.processes.first_fault import is_first_fault
from causalkd.processes.processes import FailedElsewhere
from causalkd.runs.command_line.user_errors import is_first_process, user_errors
from causalkd.runs.setup.interruption import Stopped


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("first\nsecond"), 2, "causalkd: first\nsecond\n"),
        (MemoryError(), 3, "causalkd: there is not enough memory; make `training.batch_size`"),
        (KeyboardInterrupt(), 130, "causalkd: stopped by SIGINT; call the same command again"),
        (Stopped(15), 143, "causalkd: stopped by SIGTERM; call the same command again"),
    ],
)
def test_a_command_ends_with_a_message_and_a_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    with pytest.raises(SystemExit) as ended, user_errors():
        raise error
    assert ended.value.code == code and capsys.readouterr().err.startswith(said)


def test_a_value_that_is_no_component_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, user_errors():
        Site(layer=0, component="foo")
    said = "causalkd: component: 'foo' is not a component; choose one of token_embedding, block_input, "
    message = capsys.readouterr().err
    assert ended.value.code == 2 and message.startswith(said) and message.count("\n") == 1 and "http" not in message


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), user_errors():
        raise RuntimeError("size mismatch")


@pytest.mark.parametrize(("rank", "first"), [(None, True), ("0", True), ("1", False)])
def test_one_of_several_processes_is_the_first(monkeypatch: pytest.MonkeyPatch, rank: str | None, first: bool) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert is_first_process() == first


@pytest.mark.parametrize("error", [ValueError("its own"), RuntimeError("its own"), FailedElsewhere("the first's")])
def test_a_process_is_silent_about_a_fault_that_another_one_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    launcher = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    given = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(launcher.port)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if not isinstance(error, FailedElsewhere):
        assert is_first_fault()  # the other process
    with pytest.raises(SystemExit) as ended, user_errors():
        raise error
    assert ended.value.code and capsys.readouterr() == ("", "")
