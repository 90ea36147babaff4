"""A program: measures finished runs in several processes: `python -m tests.runs.shared_work BASE PROCESSES ...`.

For each number of processes there is a folder of its name below BASE, with a copy of the runs `planted` and `stories`
and a file of prompts. The command line is called as a launcher calls it, in every process; only the first one may write
or print. What they print is added to files of that folder.

At last the second of two processes alone fails while it measures the run in BASE/fault.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from torch.multiprocessing.spawn import ProcessException

import causalkd.runs.verify as verifying
from causalkd import cli
from causalkd.cli import app
from causalkd.processes.processes import all_processes
from tests.processes.job import job

OUTPUT, ERRORS = "stdout.txt", "stderr.txt"
_WRITES = 0o3 | 0o100  # O_WRONLY, O_RDWR, O_CREAT
_LAZY = (
    *("causalkd.runs.attribute", "causalkd.runs.distill"),
    *("causalkd.runs.evaluation.language_models", "causalkd.runs.evaluation.tasks"),
)


def _refuse_writing(folders: tuple[str, ...]) -> None:
    def hook(event: str, given: tuple) -> None:
        changes = event in ("os.rename", "os.remove", "os.mkdir") or (event == "open" and given[2] & _WRITES)
        if changes and str(given[0]).startswith(folders):
            raise AssertionError(f"a process that is not the first one writes {given[0]}")

    sys.addaudithook(hook)


def _printing_into(base: Path, work: Callable[[Path], None]) -> None:
    for descriptor, name in ((1, OUTPUT), (2, ERRORS)):
        os.dup2(os.open(base / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    work(base)


def _measure(base: Path) -> None:
    planted, stories = str(base / "planted"), str(base / "stories")
    if not all_processes().is_first:
        _refuse_writing((planted, stories))
    for command in (
        ["verify", planted],
        ["attribute", planted, "--limit", "20", "--steps", "2", "--portions", "2"],
        ["evaluate", planted, "--task", "planted", "--limit", "70"],
        ["verify", stories],
        ["attribute", stories, "--limit", "5", "--steps", "2", "--portions", "2"],
        ["evaluate", stories, "--prompts", str(base / "prompts.jsonl"), "--max-tokens", "3"],
    ):
        app(command, standalone_mode=False)


def _fail_in_the_last(base: Path) -> None:
    processes, run_passes = all_processes(), verifying.run_passes

    def fail(*given: object) -> None:
        if processes.rank == processes.count - 1:
            raise ValueError("the last process alone cannot go on")
        run_passes(*given)  # type: ignore[arg-type]

    verifying.run_passes = fail  # type: ignore[assignment]
    app(["verify", str(base / "planted")])


def _no_page(*_: object, **__: object) -> str:
    """Pages are the first process's alone, and take longer than all that is shared."""
    return "a page"


def main(base: Path, counts: list[int]) -> None:
    """Imports once, for all forks."""
    for module in _LAZY:
        import_module(module)
    cli._page = lambda: _no_page  # type: ignore[assignment]
    for count in counts:
        job(_printing_into, count, base / str(count), _measure)
    try:
        job(_printing_into, 2, base / "fault", _fail_in_the_last)
    except ProcessException:
        (base / "fault" / "ended.txt").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]])
