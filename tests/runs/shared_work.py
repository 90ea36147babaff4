"""A program: measures finished runs in some processes: `python -m tests.runs.shared_work PROCESSES PLANTED STORIES`.

The command line is called as a launcher calls it, in every process; only the first one may write or print.
"""

import sys
from pathlib import Path

from causalkd.cli import app
from causalkd.processes.processes import all_processes
from tests.processes.job import job

_WRITES = 0o3 | 0o100  # O_WRONLY, O_RDWR, O_CREAT


def _refuse_writing(folders: tuple[str, ...]) -> None:
    def hook(event: str, given: tuple) -> None:
        changes = event in ("os.rename", "os.remove", "os.mkdir") or (event == "open" and given[2] & _WRITES)
        if changes and str(given[0]).startswith(folders):
            raise AssertionError(f"a process that is not the first one writes {given[0]}")

    sys.addaudithook(hook)


def _measure(planted: str, stories: str) -> None:
    if not all_processes().is_first:
        _refuse_writing((planted, stories))
    for command in (
        ["verify", planted],
        ["attribute", planted, "--limit", "20", "--steps", "2", "--portions", "2"],
        ["evaluate", planted, "--task", "planted", "--limit", "70"],
        ["verify", stories],
        ["attribute", stories, "--limit", "5", "--steps", "2", "--portions", "2"],
        ["evaluate", stories, "--prompts", str(Path(stories).parent / "prompts.jsonl"), "--max-tokens", "3"],
    ):
        app(command, standalone_mode=False)


if __name__ == "__main__":
    job(_measure, int(sys.argv[1]), *sys.argv[2:])
