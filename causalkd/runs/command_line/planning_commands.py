"""The commands before a training: recipes and their keys, alignments, data, costs, and a teacher's outputs."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from causalkd.runs.command_line.arguments import RecipeArgument, SetOption, at_home
from causalkd.runs.command_line.user_errors import is_first_process, user_errors

RecipeKind = Literal["distill", "finetune", "pipeline", "study"]


def precompute(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option(help="The folder to write to.", callback=at_home)],
    set_: SetOption = [],  # noqa: B006 - typer copies it
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For a language model: keep this many predictions per token, and of the others only their total.",
        ),
    ] = None,
) -> None:
    """Write the teacher's outputs on all rows that its students learn from, so that they train without it.

    Set `teacher.outputs` of the recipe to the folder afterwards. A call that was stopped continues.
    """
    with user_errors():
        from causalkd.recipe.recipe import Recipe
        from causalkd.runs import precompute as runs

        runs.precompute(Recipe.load(recipe, set_), out, top_k=top_k, tell=partial(typer.echo, err=True))


def plan(
    recipe: RecipeArgument,
    set_: SetOption = [],  # noqa: B006 - typer copies it
    speed: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            help="Floating-point operations per second of one device, such as 4e14; by default measured on this one.",
        ),
    ] = None,
) -> None:
    """Print what a recipe will cost, stage by stage: operations, memory, disk, time. Nothing is trained or written."""
    with user_errors():
        from causalkd.recipe.recipe import Recipe
        from causalkd.runs.costs.plan import plan as planned

        table = planned(Recipe.load(recipe, set_), speed, partial(typer.echo, err=True)).table()
        if is_first_process():
            typer.echo(table)


def data(
    path: Annotated[
        str, typer.Argument(help="A file, a folder, a pattern of files, or a hub data set's name.", callback=at_home)
    ],
    kind: Annotated[
        str | None, typer.Option(help="The kind of the rows, such as text; guessed from the columns if not given.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="A tokenizer, by hub name or folder; lengths are counted in its tokens instead of words.",
            callback=at_home,
        ),
    ] = None,
    max_length: Annotated[int, typer.Option(min=1, help="Report how many rows have more tokens than this.")] = 128,
    config: Annotated[str | None, typer.Option(help="Configuration of a hub data set.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub data set.")] = None,
) -> None:
    """Preview data: columns, lengths, labels, truncated rows, five examples, and a block to paste into a recipe."""
    with user_errors():
        from causalkd.data.tasks.kinds import KINDS
        from causalkd.data.tasks.preview import preview
        from causalkd.errors import nearest
        from causalkd.models.checkpoints import load_tokenizer, read_tokenizer

        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind {kind!r} does not exist; {nearest(kind, list(KINDS))}")
        read = read_tokenizer if tokenizer is not None and Path(tokenizer).is_dir() else load_tokenizer
        counted = None if tokenizer is None else read(tokenizer)
        typer.echo(preview(path, kind, counted, max_length, config, revision))  # type: ignore[arg-type]


def check(
    alignment: Annotated[str, typer.Argument(help="A YAML file, or middle, late, full.", callback=at_home)],
    teacher: Annotated[str, typer.Option(help="Hub name or folder.", callback=at_home)],
    student: Annotated[str, typer.Option(help="Hub name or folder.", callback=at_home)],
    task: Annotated[str | None, typer.Option(help="Task of the prediction heads; default: each model's.")] = None,
) -> None:
    """Resolve an alignment against two models: print the table of its sites, or the faults.

    All faults of the file are printed at once; once it has none, all of its sites in these models.
    """
    with user_errors():
        from causalkd.alignment.resolve import resolve
        from causalkd.errors import nearest
        from causalkd.models.checkpoints import tasks_of
        from causalkd.models.load import load_model
        from causalkd.runs.setup.prepare import build_alignment
        from causalkd.task_types import TASK_TYPES

        if task is not None and task not in TASK_TYPES:
            raise ValueError(f"task {task!r} does not exist; {nearest(task, list(TASK_TYPES))}")
        # Only names and shapes matter here, so a missing head may be initialised at random.
        models = [
            load_model(name, task=task or tasks_of(name)[0], role=role, new_head=True)  # type: ignore[arg-type]
            for name, role in ((teacher, "teacher"), (student, "student"))
        ]
        typer.echo(resolve(build_alignment(alignment, *models), *models).table())


def recipes() -> None:
    """List the recipes and then the pipelines that come with the package."""
    from causalkd.recipe.recipe import shipped_pipelines, shipped_recipes

    typer.echo("\n".join([*shipped_recipes(), *shipped_pipelines()]))


def schema(of: Annotated[RecipeKind, typer.Argument(help="The command that reads the recipe.")] = "distill") -> None:
    """Print the JSON schema of a recipe, with a description of every key."""
    from causalkd.recipe import finetune, pipeline, recipe, study

    kinds = {
        "distill": recipe.Recipe,
        "finetune": finetune.FinetuneRecipe,
        "pipeline": pipeline.PipelineRecipe,
        "study": study.Study,
    }
    typer.echo(json.dumps(kinds[of].model_json_schema(), indent=1))
