"""The results of a pipeline: every model with its score in stage 1 and its scores on every task, and their JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from causalkd.files.whole_files import write_whole
from causalkd.verification.results.finite import finite_or_none

SCHEMA = 1


@dataclass(frozen=True)
class TaskScores:
    """The scores of a model on a task, over the seeds of its fine-tuning."""

    metric: str
    """The main metric of the task."""
    means: Mapping[str, float | None]
    """The mean over seeds of every metric of the task."""
    spreads: Mapping[str, float | None]
    """The standard deviation over seeds; None for one seed."""
    seeds: int
    examples: int
    """The rows of the held-out split; for question answering the windows, of which a question may have several."""
    folder: str
    """The folder of the fine-tuning, below the pipeline's."""
    questions: int | None = None
    """The number of questions that were scored; None for other tasks, and in results of earlier versions."""
    chosen: bool = False
    """Whether checkpoints were chosen by their scores on the same rows; False in results of earlier versions."""

    @property
    def mean(self) -> float | None:
        """The mean of the main metric."""
        return self.means[self.metric]


@dataclass(frozen=True)
class ModelScores:
    """A row of the table."""

    name: str
    tasks: Mapping[str, TaskScores]
    run: str | None = None
    """The run of stage 1 that trained the model; None for a baseline."""
    student: str | None = None
    seed: int | None = None
    stage1: float | None = None
    """The held-out metric of the run's own task, such as the perplexity."""
    stage1_chosen: bool = False
    """Whether its checkpoint was chosen by its score on the same rows; False in results of earlier versions."""

    def average(self) -> float | None:
        """The mean over tasks of their main metrics; None if one has no number or no upper bound."""
        values = [scores.mean for scores in self.tasks.values() if scores.metric != "perplexity"]
        known = [value for value in values if value is not None]
        return fmean(known) if known and len(known) == len(self.tasks) else None


@dataclass(frozen=True)
class PipelineResults:
    """The table of a pipeline."""

    name: str
    stage1_metrics: Mapping[str, str]
    """The metric of `stage1`, by run."""
    rows: tuple[ModelScores, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, in the order of the columns."""
        return tuple(self.rows[0].tasks)

    def write(self, path: Path) -> None:
        """Writes the file in one step."""
        stored = {"schema_version": SCHEMA, **asdict(self)}
        for row in stored["rows"]:
            row["stage1"] = finite_or_none(row["stage1"])
            for scores in row["tasks"].values():
                for kind in ("means", "spreads"):
                    scores[kind] = {name: finite_or_none(value) for name, value in scores[kind].items()}
        write_whole(path, json.dumps(stored, indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "PipelineResults":
        """Reads the file.

        Raises:
            ValueError: There is no such file, or it does not hold such results.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["schema_version"] != SCHEMA:
                raise ValueError("it was written by another version")
            rows = []
            for row in stored["rows"]:
                tasks = {name: TaskScores(**scores) for name, scores in row["tasks"].items()}
                rows.append(ModelScores(**{**row, "tasks": tasks}))
            return cls(stored["name"], stored["stage1_metrics"], tuple(rows))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as the results of a pipeline: {error}; make them again") from error
