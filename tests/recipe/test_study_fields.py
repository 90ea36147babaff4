"""Two fields of a study that set one key are told, and no others."""

from typing import Any

import pytest

from causalkd.recipe.study_fields import SetField, overlaps

RATE, STEPS = "training.learning_rate", "training.steps"


def _told(first: str, value: Any, second: str, other: Any = 1, reason: str = "") -> list[str]:
    groups = [[SetField(f"variants.v.{first}", first, value)], [SetField(f"grid.{second}", second, other, reason)]]
    return overlaps(groups, ["a", "b", "kd-v1.5"])


@pytest.mark.parametrize(
    ("first", "value", "second", "key"),
    [
        (RATE, 1, RATE, RATE),
        (RATE, 1, f"students.*.{RATE}", f"students.*.{RATE}"),
        (RATE, 1, f"students.a.{RATE}", f"students.a.{RATE}"),
        (f"students.a.{RATE}", 1, RATE, f"students.a.{RATE}"),
        (f"students.0.{RATE}", 1, f"students.a.{RATE}", f"students.a.{RATE}"),
        (f"students.*.{RATE}", 1, f"students.1.{RATE}", f"students.*.{RATE}"),
        (f"students.kd-v1.5.{RATE}", 1, f"students.2.{RATE}", f"students.kd-v1.5.{RATE}"),
        (f"students.kd-v1.5.{RATE}", 1, RATE, f"students.kd-v1.5.{RATE}"),
        ("training", {"learning_rate": 1, "steps": 3}, RATE, RATE),
        (RATE, 1, "training", RATE),
        (STEPS, 1, "students.*.training.epochs", "students.*.training.epochs"),
        ("students", [{"name": "a", "training": {"learning_rate": 1}}], f"students.*.{RATE}", f"students.a.{RATE}"),
        ("students", [{"name": "a", "training": {"learning_rate": 1}}], RATE, f"students.a.{RATE}"),
        ("data.train_limit", 9, "data", "data.train_limit"),
        ("teacher.training", None, "teacher.training.steps", "teacher.training"),
    ],
)
def test_a_key_that_two_fields_set_is_told(first: str, value: Any, second: str, key: str) -> None:
    (line,) = _told(first, value, second, {"learning_rate": 2} if second == "training" else 2)
    told = f"variants.v.{first} and grid.{second} both set {key}, so one of them would have no effect"
    assert line == f"{told}; leave one of them out"


@pytest.mark.parametrize(
    ("first", "value", "second"),
    [
        (RATE, 1, STEPS),
        (RATE, 1, f"teacher.{RATE}"),
        (f"students.a.{RATE}", 1, f"students.b.{RATE}"),
        ("students", [{"name": "a", "training": {"steps": 1}, "objectives": {"task": {}}}], f"students.*.{RATE}"),
        ("students", [{"name": "a", "objectives": {"task": {}}}], "students.*.objectives.task.weight"),
        ("training", {"steps": 3}, RATE),
        ("data", {"task": "rte"}, "data.train_limit"),
    ],
)
def test_fields_that_set_other_keys_are_not(first: str, value: Any, second: str) -> None:
    assert _told(first, value, second) == []


def test_why_a_field_of_the_study_s_own_leaves_another_without_effect() -> None:
    told = "would have no effect: so it is; leave it out"
    assert _told("seeds", [0], "seeds", reason="so it is") == [f"variants.v.seeds {told}"]
    (line,) = _told("training", {"epochs": 2}, f"students.*.{STEPS}", reason="so it is")
    assert line == f"variants.v.training, which sets training.epochs, {told}"
    whole = [{"name": "a", "training": {"steps": 3}}]
    assert _told("students", whole, f"students.*.{STEPS}", reason="so it is") == [], "a recipe may have lengths as well"


def test_fields_of_one_group_belong_together() -> None:
    own = {"name": "a", "objectives": {"task": {}}}
    assert overlaps([[SetField("one", RATE, 1), SetField("two", "students", [own])]], ["a"]) == []
    assert overlaps([[SetField("one", RATE, 1), SetField("two", f"students.a.{RATE}", 2)]], ["a"]) == []
