"""The command line: causalkd distill | verify | attribute | evaluate | search | report | check | recipes | schema."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    name="causalkd",
    help="Distil how a teacher computes, not only what it answers, and verify it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RunArgument = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Change a key: training.learning_rate=1e-4 (repeatable).")]


@app.command()
def distill(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: Annotated[bool, typer.Option(help="Delete an earlier run in the folder.")] = False,
) -> None:
    """Train what a recipe names, verify it, and write report.json and report.html."""
    with _told():
        from causalkd import runs
        from causalkd.recipe import Recipe

        parsed = Recipe.load(recipe, set_)
        report = runs.distill(parsed, overwrite=overwrite, page=_page(), tell=partial(typer.echo, err=True))
        _tell(report, parsed.folder)


@app.command()
def verify(run: RunArgument) -> None:
    """Measure a run's students again on its held-out pairs and rewrite its report."""
    with _told():
        from causalkd import runs

        _tell(runs.verify(run, page=_page()), run)


@app.command()
def attribute(
    run: RunArgument,
    limit: Annotated[int, typer.Option(help="Most held-out texts to explain.")] = 32,
    steps: Annotated[int, typer.Option(help="Steps of the integrated gradients.")] = 32,
    baseline: Annotated[
        Literal["mean", "[MASK]", "zero"],
        typer.Option(help="Where their path begins; [MASK] adds up soonest, zero is AD-KD's."),
    ] = "mean",
    portions: Annotated[int, typer.Option(help="Into how many portions tokens are put to be taken away.")] = 8,
) -> None:
    """Make attribution maps of a run's models, and of causal LMs the teaching modes; add both to its report."""
    with _told():
        from causalkd import attributions

        sizes = {"limit": limit, "steps": steps, "portions": portions}
        tell = partial(typer.echo, err=True)
        _tell(attributions.attribute(run, **sizes, baseline=baseline, page=_page(), tell=tell), run)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder; with --task also a checkpoint, as a folder or by name.")],
    task: Annotated[
        str | None, typer.Option(help="Measure a task, such as mrpc, instead of a run's causal LMs.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which labelled split of the task.")] = "validation",
    max_length: Annotated[int | None, typer.Option(help="Most tokens of a row of the task.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; the folder evaluations of the model else.")] = None,
    texts: Annotated[list[str], typer.Option(help="A task whose test texts are predicted (repeatable).")] = [],  # noqa: B006
    prompts: Annotated[
        list[Path],
        typer.Option(help="Instructions to answer: a file, or its name in CAUSALKD_DATA/instruct (repeatable)."),
    ] = [],  # noqa: B006
    harness: Annotated[list[str], typer.Option(help="A task of lm-evaluation-harness (repeatable).")] = [],  # noqa: B006
    limit: Annotated[int | None, typer.Option(help="Most rows of each.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest response in tokens.")] = 128,
) -> None:
    """Measure a checkpoint or a run on a task; or a run's causal LMs: perplexity, responses, tasks of a harness."""
    with _told():
        if task is not None:
            from causalkd.task_evaluation import evaluate_task

            evaluate_task(run, task, split, limit=limit, max_length=max_length, out=out, tell=typer.echo)
            return
        from causalkd.evaluation import evaluate_run

        evaluate_run(
            run, texts=texts, prompts=prompts, limit=limit, max_tokens=max_tokens, harness=harness, tell=typer.echo
        )


@app.command()
def search(
    run: RunArgument,
    student: Annotated[str | None, typer.Option(help="Whose layers; the first student if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Which of its seeds; the first if not given.")] = None,
    component: Annotated[str, typer.Option(help="What is exchanged in every layer.")] = "block_output",
    rank: Annotated[int | None, typer.Option(help="Learn so many directions of each student layer.")] = None,
) -> None:
    """Find which teacher layer does what each student layer does; write what holds out as RUN/found.yaml."""
    with _told():
        from causalkd.search_run import search_run

        found = search_run(run, student=student, seed=seed, component=component, rank=rank)
        typer.echo(found.table())
        supported = [proposal for proposal in found.proposals if proposal.supported]
        typer.echo(f"\n{run / 'found.yaml'}" if supported else "\nHeld-out pairs support no counterpart.")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="A run folder, or several to compare.")],
) -> None:
    """Print a finished run's report and write its page anew; or print several runs side by side."""
    with _told():
        from causalkd.run_folder import RunFolder
        from causalkd.runs import write_pages
        from causalkd.verification.comparison import compare
        from causalkd.verification.report import VerificationReport

        found = {str(run): VerificationReport.read(RunFolder(run).report) for run in runs}
        if len(runs) > 1:
            typer.echo(compare(found), nl=False)
            return
        write_pages(_page(), found[str(runs[0])], RunFolder(runs[0]))
        _tell(found[str(runs[0])], runs[0])


@app.command()
def check(
    alignment: Annotated[str, typer.Argument(help="A YAML file, or middle, late, full.")],
    teacher: Annotated[str, typer.Option(help="Hub name or folder.")],
    student: Annotated[str, typer.Option(help="Hub name or folder.")],
    task: Annotated[str | None, typer.Option(help="What the heads compute; each model's own if not given.")] = None,
) -> None:
    """Resolve an alignment against two models: print the table, or every fault."""
    with _told():
        from causalkd.alignment.resolve import resolve
        from causalkd.build import build_alignment
        from causalkd.models.checkpoints import tasks_of
        from causalkd.models.load import load_model
        from causalkd.models.places import nearest
        from causalkd.task_kinds import TASKS

        if task is not None and task not in TASKS:
            raise ValueError(f"task {task!r} does not exist; {nearest(task, list(TASKS))}")
        # Only names and shapes matter here, so a head that is missing may start at random.
        models = [
            load_model(name, task=task or tasks_of(name)[0], role=role, new_head=True)  # type: ignore[arg-type]
            for name, role in ((teacher, "teacher"), (student, "student"))
        ]
        typer.echo(resolve(build_alignment(alignment, *models), *models).table())


@app.command()
def recipes() -> None:
    """Name the recipes that come with the package."""
    from causalkd.recipe import shipped_recipes

    typer.echo("\n".join(shipped_recipes()))


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe, every key with its meaning."""
    from causalkd.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=1))


@contextmanager
def _told() -> Iterator[None]:
    """A fault of the user's is told in its own words, without a traceback; and libraries speak only when it matters."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except ValueError as error:
        typer.echo(f"causalkd: {error}", err=True)
        sys.exit(2)


def _page() -> Callable[..., str]:
    from analysis.report_page import render

    return render


def _tell(found: Any, folder: Path) -> None:
    from causalkd.verification.attribution_table import as_markdown, distance_rows
    from causalkd.verification.teaching_table import teaching_line, teaching_rows
    from causalkd.verification.text import as_text, columns

    typer.echo(as_text(found))
    if found.attribution is not None:
        typer.echo(as_markdown(found))
        if found.attribution.distances:
            typer.echo("\n".join([*columns(distance_rows(found.attribution)), ""]))
        if (teaching := found.attribution.teaching) is not None:
            typer.echo("\n".join([*columns(teaching_rows(teaching)), teaching_line(teaching)]))
    typer.echo(f"\n{folder / 'report.json'}\n{folder / 'report.html'}")
