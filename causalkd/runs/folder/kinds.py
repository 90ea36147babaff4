"""The kinds of folders: the message for a command that needs a run with students and was given something else."""

from pathlib import Path

from causalkd.runs.folder.layout import RunFolder
from causalkd.verification.results.report import VerificationReport


def other_kind(path: Path) -> str | None:
    """A message about a path that is not a run with students, and what to do; None for such a run, finished or not."""
    folder = RunFolder(path)
    if path.is_file():
        near = f": {path.parent}" if RunFolder(path.parent).recipe.is_file() else ", such as runs/quickstart"
        return f"{path} is a file; name the folder of a run{near}"
    if folder.holds_finetuning():
        if not folder.finished:
            return f"{path} holds an unfinished fine-tuning; continue it with the same `causalkd finetune` call"
        return (
            f"{path} holds a fine-tuning, which has no students to verify; `causalkd report {path}` shows its scores, "
            f"and `causalkd evaluate {path} --task TASK` measures its models"
        )
    if folder.recipe.is_file():
        return None
    if (path / "pipeline.yaml").is_file():
        if not (path / "results.json").is_file():
            return f"{path} holds an unfinished pipeline; continue it with the same `causalkd pipeline` call"
        inside = sorted(str(found.parent) for found in path.glob("distill/*/recipe.yaml"))
        return f"{path} holds a pipeline; `causalkd report {path}` shows its table. Its runs are {', '.join(inside)}"
    if (path / "study.yaml").is_file():
        table = f"`causalkd study {path / 'study.yaml'} --table` shows its table"
        return f"{path} holds a study; {table}. The runs of its cells are in {path / 'cells'}"
    if RunFolder(folder.replaced).recipe.is_file():
        return (
            f"a call with --overwrite was stopped before its new run began, and the earlier run lies in "
            f"{folder.replaced}. The same call begins the new run; `causalkd verify {path}` puts the earlier one back"
        )
    return f"{path} does not hold a run (there is no recipe.yaml); `causalkd distill RECIPE` makes one"


def read_report(path: Path) -> VerificationReport:
    """The report of a finished run with students.

    Raises:
        ValueError: There is no report; the message says what is there instead.
    """
    file = RunFolder(path).report
    other = None if file.is_file() else other_kind(path)
    if other is not None:
        raise ValueError(other)
    return VerificationReport.read(file)
