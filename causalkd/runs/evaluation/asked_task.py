"""What a model is measured on: a task by its name, or the `data` of a YAML file, such as a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.loading import Examples, load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.registry import task_spec
from causalkd.errors import fault_lines, listed
from causalkd.recipe.recipe import read_mapping
from causalkd.recipe.sections import DataPart
from causalkd.runs.setup.data import data_of
from causalkd.task_types import Task


@dataclass(frozen=True)
class AskedTask:
    """A task that models are measured on."""

    name: str
    """What it is called in files and tables."""
    given: str | OwnData
    kind: Task
    labels: tuple[str, ...]
    max_length: int | None = None
    limit: int | None = None
    prompt: Literal["alpaca", "chat"] = "alpaca"
    seed: int = 0

    @classmethod
    def of(cls, task: str) -> "AskedTask":
        """The task of a name, or of a YAML file that is a recipe or holds a `data` block.

        Raises:
            ValueError: There is no such task or file, or every fault of the block, one a line.
        """
        part = data_part(task)
        if part is None:
            if Path(task).is_file():
                raise ValueError(
                    f"{task} is no YAML file; name one with a `data` block for it, which `causalkd data {task}` prints"
                )
            spec = task_spec(task)
            return cls(task, task, spec.kind, spec.labels)
        given, name = data_of(part), part.task or Path(part.data_name).stem
        further = (part.max_length, part.eval_limit, part.prompt, part.seed)
        if isinstance(given, OwnData):
            return cls(name, given, given.task, given.label_names(), *further)
        spec = task_spec(given)
        return cls(name, given, spec.kind, spec.labels, *further)

    def for_labels_of(self, names: Sequence[str]) -> "AskedTask":
        """The task with all labels of a model, in its order, where own data that declare none have some of them."""
        own, labels = self.given, set(self.labels)
        if not isinstance(own, OwnData) or own.labels or not labels or not labels < set(names):
            return self  # the same labels keep their order, which says which class F1 is of
        return replace(self, given=replace(own, labels=tuple(names)), labels=tuple(names))

    def load(
        self, split: str, tokenizer: PreTrainedTokenizerBase, limit: int | None, max_length: int | None, allowed: int
    ) -> Examples:
        """The examples of a split, no longer than `allowed` tokens; arguments that are not None replace the task's."""
        longest = self.max_length if max_length is None else max_length
        rows = self.limit if limit is None else limit
        return load_examples(self.given, split, tokenizer, rows, longest, allowed, self.seed, self.prompt)


def data_part(task: str) -> DataPart | None:
    """The `data` of a YAML file, which is a recipe or the block itself; None for the name of a task.

    Raises:
        ValueError: There is no such file, or every fault of the block, one a line.
    """
    if Path(task).suffix not in (".yaml", ".yml"):
        return None
    if not Path(task).is_file():
        raise ValueError(f"there is no file {task}; name a YAML file with a `data` block, or a task such as mrpc")
    content = read_mapping(task)
    try:
        return DataPart.model_validate(content.get("data", content))
    except ValidationError as error:
        raise ValueError(listed(f"the data of {task} cannot be used", fault_lines(error, DataPart))) from None
