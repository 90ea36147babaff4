"""FinetuneRecipe: a model trained on a task without a teacher, read from YAML with every fault reported at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from causalkd.errors import fault_lines, listed
from causalkd.recipe.commands import refusal
from causalkd.recipe.part import MOST_ROWS, Part
from causalkd.recipe.recipe import TAUGHT, read_mapping
from causalkd.recipe.sections import (
    NAME,
    DataPart,
    Listed,
    LocalPath,
    Seed,
    TeacherPart,
    TrainingPart,
)


class FinetuneRecipe(Part):
    """A fine-tuning: a model, data, training and seeds; no teacher, no alignment and no verification."""

    name: str = Field(pattern=NAME)
    """Names the run folder."""
    model: LocalPath | None = None
    """Hub name, folder, `minilm-l6` or `smollm2-135m`; a folder may be a student of a run. A head that the checkpoint
    lacks, or has for another number of labels, starts at random."""
    config: Mapping[str, Any] | None = None
    """Instead of `model`: a transformers configuration with `model_type`, for fresh weights."""
    data: DataPart = DataPart()
    """The data that the model reads."""
    training: TrainingPart
    """The training of the model."""
    seeds: Listed[Seed] = Field(default=(0,), min_length=1)
    """The model is trained once with each seed, which draws a new head, the order of the rows and the dropout."""
    eval_batch_size: int = Field(default=64, ge=1, le=MOST_ROWS)
    """Rows of a forward pass on the held-out split."""
    output: LocalPath | None = None
    """The run folder; None for `runs/<name>`."""

    @model_validator(mode="after")
    def _fits(self) -> "FinetuneRecipe":
        faults = [f"seeds appear twice: {list(self.seeds)}; give each once"] if _twice(self.seeds) else []
        faults += [
            f"`training.{key}` is given, but there is no teacher; leave it out, or use a recipe of `causalkd distill`"
            for key in TAUGHT
            if getattr(self.training, key) is not None
        ]
        if self.data.tokenizer is not None and self.model is not None:
            faults.append(
                f"`data.tokenizer` is {self.data.tokenizer!r}, but the model {self.model!r} comes with one; leave "
                "`data.tokenizer` out"
            )
        if faults:
            raise ValueError("; ".join(faults))
        self.learner(self.seeds[0])
        return self

    def learner(self, seed: int) -> TeacherPart:
        """The model as a part that is trained on its task alone, as a teacher is before distillation."""
        return TeacherPart(model=self.model, config=self.config, training=self.training, seed=seed)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.output or f"runs/{self.name}")

    @classmethod
    def load(cls, source: str | Path, changes: Sequence[str] = ()) -> "FinetuneRecipe":
        """Reads a YAML file, YAML text or a shipped recipe, and applies changes like `training.steps=100`.

        Raises:
            ValueError: No such recipe, or every fault in it, one a line, with the nearest valid key.
        """
        return cls.parse(read_mapping(source, changes), str(source))

    @classmethod
    def parse(cls, data: Mapping[str, Any], origin: str = "recipe") -> "FinetuneRecipe":
        """The recipe of plain data.

        Raises:
            ValueError: Every fault, one a line.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            headline = refusal("recipe", origin, "finetune", data)
            raise ValueError(listed(headline, fault_lines(error, cls))) from None


def _twice(values: Sequence[Any]) -> bool:
    return len(set(values)) < len(values)
