"""The command `causalkd push`, which puts a student on the hub."""

from functools import partial
from typing import Annotated

import typer

from causalkd.runs.command_line.arguments import RunArgument
from causalkd.runs.command_line.user_errors import leave_to_the_first, user_errors


def push(
    run: RunArgument,
    repo: Annotated[str, typer.Argument(help="The repository on the hub, such as user/name; made if it is new.")],
    student: Annotated[str | None, typer.Option(help="The student to send; needed if the run has several.")] = None,
    seed: Annotated[int | None, typer.Option(help="Its seed; needed if the run has several.")] = None,
    public: Annotated[bool, typer.Option("--public", help="A public repository; private otherwise.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be sent.")] = False,
) -> None:
    """Put a student of a finished run on the hub, with its card, the alignment and the report.

    The report quotes some held-out texts: look at it before you make it public. The licence is left to you.
    """
    leave_to_the_first()
    with user_errors():
        from causalkd.runs import push as runs

        options = {"student": student, "seed": seed, "public": public, "dry_run": dry_run}
        runs.push(run, repo, **options, tell=partial(typer.echo))
