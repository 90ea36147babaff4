"""The types of a study's table."""

import json
from pathlib import Path

from causalkd.reporting.study_power import planned_differences
from causalkd.reporting.study_table import study_table
from causalkd.reporting.study_types import Choice, Planned, Tried
from tests.example_study import example_results, example_study

CHOICE = Choice("one", "only", "one", {}, "accuracy", (Tried({"training.batch_size": 4}, (0.5,), 1, 8),), None)


def test_the_json_has_what_was_chosen_and_planned(tmp_path: Path) -> None:
    study = example_study(tmp_path, power={"sd": {"accuracy": 0.02}})
    table = study_table(study, example_results(study), [CHOICE], planned_differences(study, None))
    content = json.loads(table.to_json())
    tried = {"fields": {"training.batch_size": 4}, "values": [0.5], "seeds": 1, "counted": 8}
    assert content["chosen"][0]["tried"] == [tried]
    assert content["planned"][0]["measure"] == "accuracy" and content["planned"][0]["seeds"] == 3


def test_a_planned_difference_concerns_its_own_comparison() -> None:
    planned = Planned("a", "b", {"x": 1}, "f1", 0.1, 2, 3, 0.2, 0.4, None)
    assert planned.concerns("a", "b", {"x": 1}, "f1")
    others = [("b", "a", {"x": 1}, "f1"), ("a", "b", {"x": 2}, "f1"), ("a", "b", {"x": 1}, "accuracy")]
    assert not any(planned.concerns(*other) for other in others)


def test_a_setting_is_complete_with_every_seed() -> None:
    assert Tried({}, (0.1, 0.2), 2).is_complete and not Tried({}, (0.1,), 2).is_complete
