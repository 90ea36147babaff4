"""A program: measures finished runs in some processes: `python -m tests.runs.shared_work PROCESSES PLANTED STORIES`.

The command line is called as a launcher calls it, in every process; only the first one may write or print. With
`--fault`, the last process alone fails while it measures.
"""

import sys
from importlib import import_module
from pathlib import Path

import causalkd.runs.verify as verifying
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


def _fail_in_the_last(planted: str) -> None:
    processes, run_passes = all_processes(), verifying.run_passes

    def fail(*given: object) -> None:
        if processes.rank == processes.count - 1:
            raise ValueError("the last process alone cannot go on")
        run_passes(*given)  # type: ignore[arg-type]

    verifying.run_passes = fail  # type: ignore[assignment]
    app(["verify", planted])


if __name__ == "__main__":
    for module in ("attribute", "distill", "evaluation.language_models", "evaluation.tasks"):
        import_module(f"causalkd.runs.{module}")  # once, for all forks
    work = _fail_in_the_last if sys.argv[-1] == "--fault" else _measure
    job(work, int(sys.argv[1]), *(given for given in sys.argv[2:] if given != "--fault"))
