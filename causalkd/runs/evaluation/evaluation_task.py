"""A task to measure models on, by its name or as the `data` of a YAML file, such as a recipe."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.loading import Examples, load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.registry import task_spec
from causalkd.errors import fault_lines, listed
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe, read_mapping
from causalkd.recipe.sections import DataPart
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import data_of
from causalkd.runs.setup.sequences import prompt_style
from causalkd.task_types import Task


@dataclass(frozen=True)
class EvaluationTask:
    """A task that models are measured on."""

    name: str
    """Its name in files and tables."""
    given: str | OwnData
    kind: Task
    labels: tuple[str, ...]
    max_length: int | None = None
    limit: int | None = None
    prompt: Literal["alpaca", "chat"] = "alpaca"
    seed: int = 0
    heldout_share: float | None = None
    """The share of the training rows that the recipe holds out, which then belong to no split."""

    @classmethod
    def of(cls, task: str) -> "EvaluationTask":
        """The task of a name, or of a YAML file that is a recipe or holds a `data` block.

        Raises:
            ValueError: There is no such task or file, or every fault of the block, one a line.
        """
        part = data_part(task)
        if part is None:
            if Path(task).is_file():
                raise ValueError(
                    f"{task} is not a YAML file; name one with a `data` block, which `causalkd data {task}` prints"
                )
            spec = task_spec(task)
            return cls(task, task, spec.kind, spec.labels)
        given, name = data_of(part), part.task or Path(task).stem
        further = (part.max_length, part.eval_limit, part.prompt, part.seed, part.heldout_share)
        if isinstance(given, OwnData):
            return cls(name, given, given.task, given.label_names(), *further)
        spec = task_spec(given)
        return cls(name, given, spec.kind, spec.labels, *further)

    def settings(self) -> dict[str, Any]:
        """The settings that decide which rows are read and how they are scored, as plain data."""
        given = self.given if isinstance(self.given, str) else {key: it for key, it in asdict(self.given).items() if it}
        prompt = {"prompt": self.prompt} if self.kind == "causal_lm" else {}
        sizes = {"max_length": self.max_length, "limit": self.limit}
        return {"given": given, "seed": self.seed, **prompt, **{key: it for key, it in sizes.items() if it is not None}}

    def as_trained_on(self, task: str, trained: DataPart | None) -> "EvaluationTask":
        """The task with the prompt and the longest row that models were trained with, if it does not set its own.

        Args:
            task: The name or the file that it was made from.
            trained: The data that the models were trained on; None if they are not known.
        """
        if trained is None:
            return self
        part = data_part(task)
        says_prompt = part is not None and "prompt" in part.model_fields_set
        prompt, longest = self.prompt if says_prompt else prompt_style(trained), self.max_length or trained.max_length
        return replace(self, prompt=prompt, max_length=longest)

    def check_split(self, split: str) -> None:
        """Refuses rows that a recipe divides by `heldout_share`: a split is neither of the two parts.

        Raises:
            ValueError: The rows of this split are divided.
        """
        if self.heldout_share is not None and split in ("train", "validation"):
            raise ValueError(
                f"{self.name!r} holds out {self.heldout_share:.0%} of its training rows (`data.heldout_share`), so "
                f"that {split!r} would be other rows than the run's. `causalkd report RUN` shows the scores on those; "
                "or name a YAML file with a `data` block without `heldout_share`"
            )

    def for_labels_of(self, names: Sequence[str]) -> "EvaluationTask":
        """The task with all labels of a model, in its order, if own data that declare no labels have some of them.

        Labels are compared regardless of case; the data are read in their own spelling, and the task has the model's,
        so that the tags of one entity are spelled alike.
        """
        own, spelled = self.given, {label.casefold(): label for label in self.labels}
        known = {name.casefold() for name in names}
        distinct = len(spelled) == len(self.labels) and len(known) == len(names)
        if not isinstance(own, OwnData) or own.labels or not spelled or not distinct or not set(spelled) < known:
            return self  # the same labels keep their order, which decides the positive class of F1
        every = tuple(spelled.get(name.casefold(), name) for name in names)
        return replace(self, given=replace(own, labels=every), labels=tuple(names))

    def load(
        self,
        split: str,
        tokenizer: PreTrainedTokenizerBase,
        limit: int | None,
        max_length: int | None,
        allowed: int,
        *,
        may_lack_labels: bool = False,
    ) -> Examples:
        """The examples of a split, no longer than `allowed` tokens; arguments that are not None replace the task's."""
        self.check_split(split)
        longest = self.max_length if max_length is None else max_length
        rows = self.limit if limit is None else limit
        how = {"may_lack_labels": may_lack_labels}
        found = load_examples(self.given, split, tokenizer, rows, longest, allowed, self.seed, self.prompt, **how)
        return replace(found, labels=self.labels)


def data_trained_on(origin: str | Path) -> DataPart | None:
    """The data that the models of a run or fine-tuning, or a checkpoint in its folder, were trained on; None for
    others.

    Raises:
        ValueError: The recipe of the run is damaged.
    """
    path = Path(origin).resolve()
    for parent in (path, path.parent, path.parent.parent) if path.is_dir() else ():
        folder = RunFolder(parent)
        if folder.recipe.is_file() and (parent == path or folder.finished):
            kind = FinetuneRecipe if folder.holds_finetuning() else Recipe
            return kind.load(folder.recipe).data
    return None


def data_part(task: str) -> DataPart | None:
    """The `data` of a YAML file, which is a recipe or the block itself; None if the text is the name of a task.

    Raises:
        ValueError: There is no such file, or the block has faults, all of which are listed.
    """
    if Path(task).suffix not in (".yaml", ".yml"):
        return None
    if not Path(task).is_file():
        raise ValueError(f"there is no file {task}; name a YAML file with a `data` block, or a task such as mrpc")
    content = read_mapping(task)
    # A recipe without `data` has the default data; a block has no name.
    without_data = "name" in content and set(content) <= {*Recipe.model_fields, *FinetuneRecipe.model_fields}
    try:
        return DataPart.model_validate(content.get("data", {} if without_data else content))
    except ValidationError as error:
        raise ValueError(listed(f"the data of {task} cannot be used", fault_lines(error, DataPart))) from None
