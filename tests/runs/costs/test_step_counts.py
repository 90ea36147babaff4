from typing import Any

import pytest

from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.tasks.loading import Examples
from causalkd.recipe.sections import TrainingPart
from causalkd.runs.costs.step_counts import steps_of, teacher_share
from causalkd.runs.setup.data import Data

ROWS = Examples([{}] * 8, "classification", ("no", "yes"), "accuracy", "rows")


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 2), (2.0, 4), (1.5, 3), (None, 6)])
def test_an_epoch_ends_with_a_step_of_the_batches_that_are_left(epochs: float | None, steps: int) -> None:
    """As transformers' trainer counts: 8 rows are four batches of 2, three of them a step."""
    training = TrainingPart(epochs=epochs, batch_size=2, gradient_accumulation=3)
    assert steps_of(training, Data(ROWS, ROWS, PlantedNLI().tokenizer())) == steps


@pytest.mark.parametrize(
    ("cache", "sequences", "is_first", "share"),
    [
        (None, None, True, 1.0),
        ({"max_mib": 1}, None, False, 0.4),  # 4 of 10 steps
        ({"max_mib": 1, "on_disk": True}, None, True, 0.4),
        ({"max_mib": 1, "on_disk": True}, None, False, 0.0),
        ({"max_mib": 1}, {"generator": "teacher"}, True, 0.4),
        ({"max_mib": 1}, {"generator": "student"}, True, 1.0),
    ],
)
def test_a_teacher_with_a_cache_runs_in_the_first_epoch(
    cache: dict[str, Any] | None, sequences: dict[str, Any] | None, is_first: bool, share: float
) -> None:
    training = TrainingPart.model_validate(
        {"steps": 10, "batch_size": 2, "teacher_cache": cache, "sequences": sequences}
    )
    assert teacher_share(training, Data(ROWS, ROWS, PlantedNLI().tokenizer()), is_first=is_first) == share
