"""The results of a fine-tuning: the scores of every seed on the held-out split, and their JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from causalkd.files.whole_files import write_whole
from causalkd.verification.results.finite import finite_or_none

SCHEMA = 1


@dataclass(frozen=True)
class SeedScores:
    """The scores of one trained model on the held-out split."""

    seed: int
    model: str
    """Its folder, below the run's."""
    metrics: Mapping[str, float | None]
    """Every metric of the task by name; None if one is not defined."""
    predictions: str
    """The file of its predictions, below the run's folder."""
    steps: int | None
    seconds: float | None
    """Wall-clock seconds of the training, including those before an interruption up to the checkpoint that it resumed
    from; None if no cost was recorded."""
    block_forwards: float | None
    best_step: int | None = None
    """The step whose checkpoint was chosen by its score on the held-out split; None if the last one was kept."""


@dataclass(frozen=True)
class FinetuneResults:
    """The scores of all seeds, with the model, the task and the data."""

    name: str
    model: str
    """The model that was fine-tuned."""
    task: str
    metric: str
    """The main metric of the task, among those in `scores`."""
    split: Mapping[str, Any]
    """The held-out split: `origin`, `examples`, `predictions`, `truncated`, `lost`, `left_out`, `empty`."""
    scores: tuple[SeedScores, ...]
    environment: Mapping[str, Any]

    def mean(self, metric: str) -> float | None:
        """The mean over seeds; None unless it is defined for all of them."""
        values = self._values(metric)
        return fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """The standard deviation over seeds; None for one seed."""
        values = self._values(metric)
        return stdev(values) if len(values) > 1 else None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, the main one first."""
        return tuple(self.scores[0].metrics)

    @property
    def questions(self) -> int | None:
        """The number of questions that were scored, each once for all its windows; None if the task has no
        questions.
        """
        return self.split["predictions"] if "exact_match" in self.metrics else None

    @property
    def is_chosen(self) -> bool:
        """Whether checkpoints were chosen by their scores on the held-out split."""
        return any(each.best_step is not None for each in self.scores)

    def _values(self, metric: str) -> list[float]:
        values = [each.metrics[metric] for each in self.scores]
        known = [value for value in values if value is not None and math.isfinite(value)]
        return known if len(known) == len(values) else []

    def write(self, path: Path) -> None:
        """Writes the file in one step."""
        stored = {"schema_version": SCHEMA, **asdict(self)}
        for each in stored["scores"]:
            each["metrics"] = {name: finite_or_none(value) for name, value in each["metrics"].items()}
        write_whole(path, json.dumps(stored, indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "FinetuneResults":
        """Reads the file.

        Raises:
            ValueError: There is no such file, or it does not hold such results.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored.pop("schema_version") != SCHEMA:
                raise ValueError("it was written by another version")
            scores = tuple(SeedScores(**each) for each in stored.pop("scores"))
            return cls(**stored, scores=scores)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read as the results of a fine-tuning: {error}; make them again"
            ) from error
