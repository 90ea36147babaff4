"""The command line: every command is a function here or in `runs/command_line`; `--help` is their manual."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from causalkd.runs.command_line import planning_commands
from causalkd.runs.command_line.arguments import RecipeArgument, RunArgument, SetOption, at_home
from causalkd.runs.command_line.evaluate_options import check_options, given_options
from causalkd.runs.command_line.push_command import push
from causalkd.runs.command_line.user_errors import end_with, is_first_process, leave_to_the_first, user_errors

app = typer.Typer(
    name="causalkd",
    help="Distil how a teacher computes, not only what it answers, and verify it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

OverwriteOption = Annotated[bool, typer.Option(help="Replace an earlier run; it stays until the new one is done.")]


@app.command()
def distill(
    recipe: RecipeArgument,
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: OverwriteOption = False,
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
        _print_report(report, parsed.folder)


@app.command()
def finetune(
    recipe: Annotated[str, typer.Argument(help="A YAML file with `model`, `data` and `training`.")],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: OverwriteOption = False,
) -> None:
    """Train a model on a task without a teacher, measure it, and write finetune.json; continues an interrupted run."""
    with user_errors():
        from causalkd.recipe.finetune import FinetuneRecipe
        from causalkd.reporting.finetuning import finetuning_lines
        from causalkd.runs.finetune import finetune as run

        parsed = FinetuneRecipe.load(recipe, set_)
        found = run(parsed, overwrite=overwrite, tell=partial(typer.echo, err=True))
        if is_first_process():
            typer.echo("\n".join([*finetuning_lines(found), "", str(parsed.folder / "finetune.json")]))


app.command()(planning_commands.precompute)
app.command()(planning_commands.plan)


@app.command()
def pipeline(
    recipe: Annotated[str, typer.Argument(help="A shipped pipeline's name, or a YAML file.")],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    overwrite: Annotated[bool, typer.Option(help="Replace runs whose settings have changed.")] = False,
) -> None:
    """Distil students, fine-tune each on a list of tasks, and write one table; continues an interrupted pipeline."""
    with user_errors():
        from causalkd.recipe.pipeline import PipelineRecipe
        from causalkd.reporting.pipeline_table import pipeline_lines
        from causalkd.runs.pipeline import run_pipeline

        parsed = PipelineRecipe.load(recipe, set_)
        found = run_pipeline(parsed, overwrite=overwrite, page=_page(), tell=partial(typer.echo, err=True))
        if is_first_process():
            typer.echo("\n".join([*pipeline_lines(found), "", str(parsed.folder / "results.md")]))


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="The study's YAML file.", callback=Path.expanduser)],
    table: Annotated[bool, typer.Option("--table", help="Run nothing; sum up what is finished.")] = False,
    retry_failed: Annotated[bool, typer.Option(help="Run cells again that have failed before.")] = False,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Run the choice and the pilot, calculate the smallest difference that can be shown, and stop.",
        ),
    ] = False,
) -> None:
    """Run a grid of recipes, fields and seeds, alone or as one of several workers; the same command continues it.

    It ends with exit code 1 if a cell failed; the table says why.
    """
    leave_to_the_first()
    with user_errors():
        if table and (retry_failed or power):
            raise ValueError("--table runs nothing, so --retry-failed and --power do not go with it; leave them out")
        study_with_page = import_module("analysis.pages.study_page").study_with_page
        text, failed = study_with_page(file, table, retry_failed, partial(typer.echo, err=True), power)
        typer.echo(text)
    if failed:
        raise typer.Exit(1)


@app.command()
def verify(
    run: RunArgument,
    accept_changed_data: Annotated[
        bool,
        typer.Option(
            "--accept-changed-data",
            help="Measure although the data, a given teacher, the settings or the alignment have changed since.",
        ),
    ] = False,
) -> None:
    """Measure a run's students again on its held-out pairs and rewrite its report."""
    with user_errors():
        from causalkd.runs import distill as runs

        tell = partial(typer.echo, err=True)
        _print_report(runs.verify(run, page=_page(), accept_changed_data=accept_changed_data, tell=tell), run)


@app.command()
def attribute(
    run: RunArgument,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of held-out texts.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Number of integration steps of integrated gradients.")] = 32,
    baseline: Annotated[
        Literal["mean", "[MASK]", "zero"],
        typer.Option(help="The baseline of integrated gradients; [MASK] needs the fewest steps, zero is AD-KD's."),
    ] = "mean",
    portions: Annotated[
        int, typer.Option(min=1, help="Number of portions in which tokens are removed to measure faithfulness.")
    ] = 8,
) -> None:
    """Compute attribution maps, and teaching modes for causal LMs, and add both to a run's report."""
    with user_errors():
        from causalkd.runs import attribute as attributions

        sizes = {"limit": limit, "steps": steps, "portions": portions}
        tell = partial(typer.echo, err=True)
        _print_report(attributions.attribute(run, **sizes, baseline=baseline, page=_page(), tell=tell), run)


@app.command()
def evaluate(
    run: Annotated[
        Path, typer.Argument(help="A run folder; with --task also a checkpoint: a folder or a name.", callback=at_home)
    ],
    task: Annotated[
        str | None,
        typer.Option(help="Measure a task, such as mrpc, or the data of a YAML file, instead of a run's causal LMs."),
    ] = None,
    split: Annotated[str, typer.Option(help="The split; of own rows without labels, only predictions.")] = "validation",
    max_length: Annotated[int | None, typer.Option(min=1, help="Longest row of the task in tokens.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; default: the model's evaluations.", callback=at_home)
    ] = None,
    texts: Annotated[list[str], typer.Option(help="A task whose test texts to predict (repeatable).")] = [],  # noqa: B006
    prompts: Annotated[
        list[Path],
        typer.Option(
            help="A file of instructions, or its name in CAUSALKD_DATA/instruct (repeatable).", callback=at_home
        ),
    ] = [],  # noqa: B006
    stride: Annotated[
        int | None, typer.Option(min=1, help="Tokens from the start of a causal LM's row of text to that of the next.")
    ] = None,
    one_mask_a_row: Annotated[
        bool, typer.Option(help="For texts of a masked LM: mask one token per row, for the pseudo-perplexity.")
    ] = False,
    submission: Annotated[
        bool, typer.Option(help="Write GLUE's file of predictions for the task's test rows.")
    ] = False,
    harness: Annotated[list[str], typer.Option(help="A task of lm-evaluation-harness, or a YAML file of one.")] = [],  # noqa: B006
    shots: Annotated[
        int | None, typer.Option(help="Examples in a harness task's prompt; default: the task's own number.")
    ] = None,
    harness_batch: Annotated[str, typer.Option(help="Rows of a harness task's forward pass: a number or auto.")] = "1",
    chat_template: Annotated[bool, typer.Option(help="Put harness prompts into the model's chat template.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of rows of each data set.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest response in tokens.")] = 128,
) -> None:
    """Measure a checkpoint or a run on a task; without --task, a run's causal LMs: perplexity, responses, a harness."""
    given = given_options(evaluate, locals())
    leave_to_the_first(wanted=submission)
    with user_errors():
        check_options(given)
        if task is not None and submission:
            from causalkd.runs.evaluation.glue_submission import write_submission

            write_submission(run, task, max_length=max_length, out=out, tell=typer.echo)
            return
        if task is not None:
            from causalkd.runs.evaluation.tasks import evaluate_task

            sizes = {"limit": limit, "max_length": max_length, "stride": stride, "one_mask_a_row": one_mask_a_row}
            evaluate_task(run, task, split, **sizes, unlabelled=True, out=out, tell=typer.echo)
            return
        from causalkd.runs.evaluation.harness import HarnessOptions
        from causalkd.runs.evaluation.language_models import evaluate_run

        asked = {"texts": texts, "prompts": prompts, "limit": limit, "max_tokens": max_tokens, "harness": harness}
        options = HarnessOptions(shots, harness_batch, chat_template)
        evaluate_run(run, **asked, options=options, tell=typer.echo)


@app.command()
def search(
    run: RunArgument,
    student: Annotated[str | None, typer.Option(help="The student to search; by default the first.")] = None,
    seed: Annotated[int | None, typer.Option(help="The student's seed; by default the first.")] = None,
    component: Annotated[str, typer.Option(help="The component to intervene on in every layer.")] = "block_output",
    rank: Annotated[int | None, typer.Option(min=1, help="Learn a subspace of this rank per student layer.")] = None,
) -> None:
    """Find the teacher layer of each student layer; write supported ones to RUN/found_alignment.yaml."""
    leave_to_the_first()
    with user_errors():
        from causalkd.reporting.search_table import search_table
        from causalkd.runs.search import search_run

        found = search_run(run, student=student, seed=seed, component=component, rank=rank)
        typer.echo(search_table(found))
        supported = [proposal for proposal in found.proposals if proposal.supported]
        unsupported = "The held-out pairs support none of the proposed layers, so no alignment was written."
        typer.echo(f"\n{run / 'found_alignment.yaml' if supported else unsupported}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="A run folder, or several to compare.", callback=at_home)],
) -> None:
    """Print the report of a finished run, fine-tuning or pipeline, or compare several runs side by side.

    It also writes report.html of a single run again.
    """
    leave_to_the_first()
    with user_errors():
        from causalkd.reporting.run_comparison import compare
        from causalkd.reporting.stored_tables import stored_lines
        from causalkd.runs.distill import write_pages
        from causalkd.runs.folder.kinds import read_report
        from causalkd.runs.folder.layout import RunFolder
        from causalkd.runs.folder.lock import locked

        stored = stored_lines(runs[0]) if len(runs) == 1 else None
        if stored is not None:
            typer.echo("\n".join(stored))
            return
        found = {str(run): read_report(run) for run in runs}
        if len(runs) > 1:
            typer.echo(compare(found), nl=False)
            return
        with locked(runs[0]):
            write_pages(_page(), found[str(runs[0])], RunFolder(runs[0]))
        _print_report(found[str(runs[0])], runs[0])


app.command()(push)
app.command()(planning_commands.check)
app.command()(planning_commands.data)
app.command()(planning_commands.recipes)
app.command()(planning_commands.schema)


def main() -> None:
    """The program `causalkd`."""
    try:
        app(prog_name="causalkd")
    except OSError as error:
        end_with(error)


def _page() -> Callable[..., str]:
    return import_module("analysis.pages.report_page").render


def _print_report(found: Any, folder: Path) -> None:
    from causalkd.reporting.printed import printed

    if is_first_process():
        typer.echo(printed(found, folder))
