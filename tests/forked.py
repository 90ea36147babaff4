"""Programs of the tests as forks of one process that has imported what they need, and has computed nothing.

A program of its own would import the libraries again, which takes longer than most of what the programs do. Python's
`multiprocessing` starts that process with the first program, and ends it with the tests.
"""

import gc
import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "analysis.pages.report_page",
        "causalkd.cli",
        "causalkd.runs.attribute",
        "causalkd.runs.distill",
        "causalkd.runs.evaluation.language_models",
        "causalkd.runs.evaluation.tasks",
        "causalkd.runs.finetune",
        "causalkd.runs.study",
        "matplotlib.backends.backend_svg",
        "tests.processes.job",
        "tests.shrunk",
        "tests.small_study",
        "tests.training.small",
    ]
)


class Ended(NamedTuple):
    """The end of a program: its exit code, and what it wrote."""

    code: int | None
    stdout: str
    stderr: str


def ended(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Runs `python -m module arguments` to its end.

    Args:
        module: The module.
        arguments: The arguments that it finds in `sys.argv`.
        environment: Changes to the environment of this process.
    """
    with TemporaryDirectory() as folder:
        texts = Path(folder, "stdout"), Path(folder, "stderr")
        for text in texts:
            text.touch()
        given = (module, arguments, {**os.environ, **(environment or {})}, texts)
        program = CONTEXT.Process(target=_run, args=given)
        program.start()
        program.join()
        return Ended(program.exitcode, *(text.read_bytes().decode() for text in texts))


def _run(module: str, arguments: tuple[str, ...], environment: Mapping[str, str], texts: tuple[Path, ...]) -> None:
    for descriptor, text in enumerate(texts, start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    gc.freeze()  # every training collects garbage, and would look for it in all that is imported
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
