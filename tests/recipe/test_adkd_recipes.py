"""The recipes with attribution maps on real input, made small: all four students learn, and their terms are logged."""

from pathlib import Path

import pytest

from causalkd.training.callbacks import read_rows
from tests.shrunk import finished_run


@pytest.mark.trains
@pytest.mark.needs_weights
@pytest.mark.needs_data
@pytest.mark.parametrize("name", [pytest.param("adkd-minilm-mnli", marks=pytest.mark.slow), "adkd-minilm-mrpc"])
def test_every_student_of_the_recipe_learns(name: str, tmp_path: Path) -> None:
    run = finished_run(name, tmp_path, page=False)
    terms = {
        row["student"]: {key.removeprefix("term/") for key in row if key.startswith("term/")}
        for row in read_rows(run.folder.metrics)
    }
    kd = {"task", "response_kd"}
    students = {"kd": kd, "adkd": kd | {"adkd"}, "diito": kd | {"diito"}, "adkd-diito": kd | {"adkd", "diito"}}
    assert terms == students  # the teacher's one step is not logged
    rows = [row["term/adkd"] for row in read_rows(run.folder.metrics) if "term/adkd" in row]
    assert len(rows) == 2 and min(rows) > 0
