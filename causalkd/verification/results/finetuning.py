"""What a fine-tuning came to: the scores of every seed on the held-out split, and their JSON."""

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
    """One trained model, on the held-out split."""

    seed: int
    model: str
    """Its folder, below the run's."""
    metrics: Mapping[str, float | None]
    """Every metric of the task by name; None where one is not defined."""
    predictions: str
    """The file of its predictions, below the run's folder."""
    steps: int | None
    seconds: float | None
    """None where the training was interrupted, and so not timed whole."""
    block_forwards: float | None
    best_step: int | None = None
    """The step whose checkpoint was taken by its score on the held-out split; None where the last one was taken."""


@dataclass(frozen=True)
class FinetuneResults:
    """The scores of all seeds, and what they are of."""

    name: str
    model: str
    """What was fine-tuned."""
    task: str
    metric: str
    """The metric that the task is judged by, among those in `scores`."""
    split: Mapping[str, Any]
    """The held-out split: `origin`, `examples`, `predictions`, `truncated`, `lost`, `left_out`."""
    scores: tuple[SeedScores, ...]
    environment: Mapping[str, Any]

    def mean(self, metric: str) -> float | None:
        """The mean over seeds; None where it is not defined for all of them."""
        values = self._values(metric)
        return fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """The standard deviation over seeds; None for one seed."""
        values = self._values(metric)
        return stdev(values) if len(values) > 1 else None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, the one the task is judged by first."""
        return tuple(self.scores[0].metrics)

    @property
    def questions(self) -> int | None:
        """The number of questions that were scored, each once however many examples its windows are; None where there
        are no questions.
        """
        return self.split["predictions"] if "exact_match" in self.metrics else None

    @property
    def is_chosen(self) -> bool:
        """Whether checkpoints were taken by their scores on the held-out split."""
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
            ValueError: There is no such file, or it is none of these results.
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
