"""The command line: causalkd distill | study | verify | attribute | evaluate | search and others."""

import json
import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from causalkd.runs.user_errors import user_errors

app = typer.Typer(
    name="causalkd",
    help="Distil how a teacher computes, not only what it answers, and verify it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RunArgument = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.", callback=Path.expanduser)]
SetOption = Annotated[list[str], typer.Option("--set", help="Set a key: training.learning_rate=1e-4 (repeatable).")]


@app.command()
def distill(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: Annotated[
        bool, typer.Option(help="Replace an earlier run in the folder; it stays until the new one is finished.")
    ] = False,
) -> None:
    """Train the students of a recipe, verify them, and write report.json and report.html.

    Ctrl-C or SIGTERM during training finishes the step, saves a checkpoint and stops; a second one stops at once.
    The same command continues from that checkpoint.
    """
    with user_errors():
        from causalkd.recipe.recipe import Recipe
        from causalkd.runs import distill as runs

        parsed = Recipe.load(recipe, set_)
        report = runs.distill(parsed, overwrite=overwrite, page=_page(), tell=partial(typer.echo, err=True))
        if _is_first_process():
            _print_report(report, parsed.folder)


@app.command()
def finetune(
    recipe: Annotated[str, typer.Argument(help="A YAML file with `model`, `data` and `training`.")],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in the folder.")] = False,
) -> None:
    """Train a model on a task without a teacher, measure it on the held-out split, and write finetune.json.

    An interrupted run continues with the same command.
    """
    with user_errors():
        from causalkd.recipe.finetune import FinetuneRecipe
        from causalkd.reporting.finetuning import finetuning_lines
        from causalkd.runs.finetune import finetune as run

        parsed = FinetuneRecipe.load(recipe, set_)
        found = run(parsed, overwrite=overwrite, tell=partial(typer.echo, err=True))
        if _is_first_process():
            typer.echo("\n".join([*finetuning_lines(found), "", str(parsed.folder / "finetune.json")]))


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="The study's YAML file.", callback=Path.expanduser)],
    table: Annotated[bool, typer.Option("--table", help="Run nothing; sum up what is finished.")] = False,
    retry_failed: Annotated[bool, typer.Option(help="Run cells again that have failed before.")] = False,
) -> None:
    """Run a grid of recipes, fields and seeds, alone or as one of several workers; the same command continues it."""
    _leave_to_the_first()
    with user_errors():
        study_with_page = import_module("analysis.study_page").study_with_page
        typer.echo(study_with_page(file, table, retry_failed, partial(typer.echo, err=True)))


@app.command()
def verify(
    run: RunArgument,
    accept_changed_data: Annotated[
        bool, typer.Option("--accept-changed-data", help="Measure on the data as they are now.")
    ] = False,
) -> None:
    """Measure a run's students again on its held-out pairs and rewrite its report."""
    _leave_to_the_first()
    with user_errors():
        from causalkd.runs import distill as runs

        tell = partial(typer.echo, err=True)
        _print_report(runs.verify(run, page=_page(), accept_changed_data=accept_changed_data, tell=tell), run)


@app.command()
def attribute(
    run: RunArgument,
    limit: Annotated[int, typer.Option(help="Largest number of held-out texts.")] = 32,
    steps: Annotated[int, typer.Option(help="Number of integration steps of integrated gradients.")] = 32,
    baseline: Annotated[
        Literal["mean", "[MASK]", "zero"],
        typer.Option(help="The baseline of integrated gradients; [MASK] needs the fewest steps, zero is AD-KD's."),
    ] = "mean",
    portions: Annotated[int, typer.Option(help="Portions in which tokens are removed for faithfulness.")] = 8,
) -> None:
    """Compute attribution maps, and teaching modes for causal LMs, and add both to a run's report."""
    _leave_to_the_first()
    with user_errors():
        from causalkd.runs import attribute as attributions

        sizes = {"limit": limit, "steps": steps, "portions": portions}
        tell = partial(typer.echo, err=True)
        _print_report(attributions.attribute(run, **sizes, baseline=baseline, page=_page(), tell=tell), run)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder; with --task also a checkpoint: a folder or a name.")],
    task: Annotated[
        str | None,
        typer.Option(help="Measure a task, such as mrpc, or the data of a YAML file, instead of a run's causal LMs."),
    ] = None,
    split: Annotated[str, typer.Option(help="The labelled split of the task to use.")] = "validation",
    max_length: Annotated[int | None, typer.Option(help="Longest row of the task in tokens.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write; default: the model's evaluations.")] = None,
    texts: Annotated[list[str], typer.Option(help="A task whose test texts to predict (repeatable).")] = [],  # noqa: B006
    prompts: Annotated[
        list[Path],
        typer.Option(help="Instructions to respond to: a file, or its name in CAUSALKD_DATA/instruct (repeatable)."),
    ] = [],  # noqa: B006
    stride: Annotated[int | None, typer.Option(help="Tokens that a row of text moves on by, for perplexity.")] = None,
    one_mask_a_row: Annotated[
        bool, typer.Option(help="Mask every token of a masked LM's text once and alone.")
    ] = False,
    submission: Annotated[
        bool, typer.Option(help="Write GLUE's file of predictions for the task's test rows.")
    ] = False,
    harness: Annotated[list[str], typer.Option(help="A task of lm-evaluation-harness (repeatable).")] = [],  # noqa: B006
    shots: Annotated[int | None, typer.Option(help="Examples in a harness task's prompt; its own number else.")] = None,
    harness_batch: Annotated[str, typer.Option(help="Rows of a harness task's forward pass: a number or auto.")] = "1",
    chat_template: Annotated[bool, typer.Option(help="Put harness prompts into the model's chat template.")] = False,
    limit: Annotated[int | None, typer.Option(help="Largest number of rows of each.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest response in tokens.")] = 128,
) -> None:
    """Measure a checkpoint or a run on a task, or a run's causal LMs: perplexity, responses, tasks of a harness."""
    _leave_to_the_first()
    with user_errors():
        if task is not None and submission:
            from causalkd.runs.glue_submission import write_submission

            write_submission(run, task, max_length=max_length, out=out, tell=typer.echo)
            return
        if task is not None:
            from causalkd.runs.evaluate_task import evaluate_task

            sizes = {"limit": limit, "max_length": max_length, "stride": stride, "one_mask_a_row": one_mask_a_row}
            evaluate_task(run, task, split, **sizes, out=out, tell=typer.echo)
            return
        given = {"--submission": submission, "--stride": stride, "--one-mask-a-row": one_mask_a_row, "--out": out}
        alone = [name for name, value in given.items() if value]
        if alone:
            raise ValueError(f"{', '.join(alone)} belong to a task; name it with --task, or leave them out")
        from causalkd.runs.evaluate import evaluate_run
        from causalkd.runs.harness import HarnessOptions

        asked = {"texts": texts, "prompts": prompts, "limit": limit, "max_tokens": max_tokens, "harness": harness}
        options = HarnessOptions(shots, harness_batch, chat_template)
        evaluate_run(run, **asked, options=options, tell=typer.echo)


@app.command()
def search(
    run: RunArgument,
    student: Annotated[str | None, typer.Option(help="The student to search; by default the first.")] = None,
    seed: Annotated[int | None, typer.Option(help="The student's seed; by default the first.")] = None,
    component: Annotated[str, typer.Option(help="The component to intervene on in every layer.")] = "block_output",
    rank: Annotated[int | None, typer.Option(help="Learn a subspace of this rank per student layer.")] = None,
) -> None:
    """Find the teacher layer of each student layer; write supported ones to RUN/found_alignment.yaml."""
    _leave_to_the_first()
    with user_errors():
        from causalkd.reporting.search_table import search_table
        from causalkd.runs.search import search_run

        found = search_run(run, student=student, seed=seed, component=component, rank=rank)
        typer.echo(search_table(found))
        supported = [proposal for proposal in found.proposals if proposal.supported]
        typer.echo(f"\n{run / 'found_alignment.yaml'}" if supported else "\nHeld-out pairs support no layer.")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="A run folder, or several to compare.")],
) -> None:
    """Print the report of a finished run and write its page again, or compare several runs side by side."""
    _leave_to_the_first()
    with user_errors():
        from causalkd.reporting.run_comparison import compare
        from causalkd.runs.distill import write_pages
        from causalkd.runs.folder import RunFolder
        from causalkd.runs.lock import locked
        from causalkd.verification.results.report import VerificationReport

        found = {str(run): VerificationReport.read(RunFolder(run).report) for run in runs}
        if len(runs) > 1:
            typer.echo(compare(found), nl=False)
            return
        with locked(runs[0]):
            write_pages(_page(), found[str(runs[0])], RunFolder(runs[0]))
        _print_report(found[str(runs[0])], runs[0])


@app.command()
def check(
    alignment: Annotated[str, typer.Argument(help="A YAML file, or middle, late, full.")],
    teacher: Annotated[str, typer.Option(help="Hub name or folder.")],
    student: Annotated[str, typer.Option(help="Hub name or folder.")],
    task: Annotated[str | None, typer.Option(help="Task of the prediction heads; default: each model's.")] = None,
) -> None:
    """Resolve an alignment against two models: print the table of its sites, or every fault."""
    with user_errors():
        from causalkd.alignment.resolve import resolve
        from causalkd.errors import nearest
        from causalkd.models.checkpoints import tasks_of
        from causalkd.models.load import load_model
        from causalkd.runs.prepare import build_alignment
        from causalkd.task_types import TASKS

        if task is not None and task not in TASKS:
            raise ValueError(f"task {task!r} does not exist; {nearest(task, list(TASKS))}")
        # Only names and shapes matter here, so a missing head may be initialised at random.
        models = [
            load_model(name, task=task or tasks_of(name)[0], role=role, new_head=True)  # type: ignore[arg-type]
            for name, role in ((teacher, "teacher"), (student, "student"))
        ]
        typer.echo(resolve(build_alignment(alignment, *models), *models).table())


@app.command()
def data(
    path: Annotated[str, typer.Argument(help="A file, a folder, a pattern of files, or a hub data set's name.")],
    kind: Annotated[str | None, typer.Option(help="What the rows are for; guessed from columns if absent.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Count lengths in its tokens: a hub name or folder.")] = None,
    max_length: Annotated[int, typer.Option(help="Count the rows that have more tokens.")] = 128,
    config: Annotated[str | None, typer.Option(help="Configuration of a hub data set.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub data set.")] = None,
) -> None:
    """Preview data: columns, lengths, labels, truncated rows, five examples, and a block to paste into a recipe."""
    with user_errors():
        from causalkd.data.tasks.kinds import KINDS
        from causalkd.data.tasks.preview import preview
        from causalkd.errors import nearest
        from causalkd.models.checkpoints import load_tokenizer

        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind {kind!r} does not exist; {nearest(kind, list(KINDS))}")
        counted = None if tokenizer is None else load_tokenizer(tokenizer)
        typer.echo(preview(path, kind, counted, max_length, config, revision))  # type: ignore[arg-type]


@app.command()
def recipes() -> None:
    """List the recipes that come with the package."""
    from causalkd.recipe.recipe import shipped_recipes

    typer.echo("\n".join(shipped_recipes()))


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe, with a description of every key."""
    from causalkd.recipe.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=1))


def _is_first_process() -> bool:
    """Whether this is the first of the processes that a launcher such as torchrun starts; only that one prints."""
    return int(os.environ.get("RANK", "0")) == 0


def _leave_to_the_first() -> None:
    """Ends every process but the first, which runs the command alone."""
    if not _is_first_process():
        raise typer.Exit


def _page() -> Callable[..., str]:
    return import_module("analysis.report_page").render


def _print_report(found: Any, folder: Path) -> None:
    from causalkd.reporting.terminal import whole_report

    typer.echo(f"{whole_report(found)}\n{folder / 'report.json'}\n{folder / 'report.html'}")
