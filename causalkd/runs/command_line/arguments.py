"""Arguments that several commands take."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer


def at_home(given: Any) -> Any:
    """Paths in which `~` is replaced by the home folder; other texts unchanged."""
    if isinstance(given, list | tuple):
        return [at_home(each) for each in given]
    return given if given is None else type(given)(os.path.expanduser(given))


RunArgument = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.", callback=at_home)]
SetOption = Annotated[list[str], typer.Option("--set", help="Change a key: training.learning_rate=1e-4 (repeatable).")]
RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")]
