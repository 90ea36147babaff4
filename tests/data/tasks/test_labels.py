import datasets
import pytest

from causalkd.data.tasks.labels import declared_names, flags_of_sets, named, numbers_of, scores


def test_labels_are_known_by_name_and_by_number() -> None:
    assert numbers_of(["no", "yes", 1, "0"], ("no", "yes"), "here") == [0, 1, 1, 0]
    with pytest.raises(ValueError, match=r"here has labels outside the task's set: 'maybe' \(number 1\)"):
        numbers_of(["no", "maybe"], ("no", "yes"), "here")


def test_a_set_of_labels_is_a_flag_for_each() -> None:
    assert flags_of_sets([["c", "a", "a"], [], [1]], ("a", "b", "c"), "here") == [(1, 0, 1), (0, 0, 0), (0, 1, 0)]


def test_scores_are_numbers() -> None:
    assert scores(["1.5", 2], "here") == [1.5, 2.0]
    with pytest.raises(ValueError, match=r"'nan' \(number 0\), 'x' \(number 2\)"):
        scores(["nan", 1, "x"], "here")


def test_numbers_of_a_declared_class_are_its_names() -> None:
    features = datasets.Features(label=datasets.ClassLabel(names=["no", "yes"]), text=datasets.Value("string"))
    rows = datasets.Dataset.from_dict({"label": [1, 0], "text": ["a", "b"]}, features=features)
    assert declared_names(rows, "label") == ("no", "yes") and declared_names(rows, "text") == ()
    assert named([[1, 0], 1, -1], ("no", "yes")) == [["yes", "no"], "yes", None]
