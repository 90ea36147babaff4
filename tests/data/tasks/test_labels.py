import datasets
import pytest

from causalkd.data.tasks.labels import (
    check_names,
    check_sets,
    declared_names,
    flags_of_sets,
    in_order,
    is_missing,
    named,
    numbers_of,
)


def test_labels_are_known_by_name_and_by_number() -> None:
    assert numbers_of(["no", "yes", 1, "0"], ("no", "yes"), "here") == [0, 1, 1, 0]
    with pytest.raises(ValueError, match=r"here has labels outside the task's set: 'maybe' \(1 times\)"):
        numbers_of(["no", "maybe"], ("no", "yes"), "here")


@pytest.mark.parametrize("values", [["1", "2", "3"], [1, 2, 3], [1.0, 2.0, 3.0]])
def test_names_that_are_numbers_are_names(values: list) -> None:
    """Ratings from 1: the name 1 is the first label, not the label number 1."""
    assert numbers_of(values, ("1", "2", "3"), "here") == [0, 1, 2]
    with pytest.raises(ValueError, match=r"the task's set: '0' \(1 times\)\. The labels are 1, 2, 3\. Correct"):
        numbers_of([*values, 0], ("1", "2", "3"), "here")


def test_names_are_those_that_a_table_has() -> None:
    assert numbers_of([1.0, 0.0], ("no", "yes"), "here") == [1, 0]  # a column of whole numbers that has gaps
    assert numbers_of([True, False], ("False", "True"), "here") == [1, 0]
    assert numbers_of([0.5, 1.0], ("0.5", "1.0"), "here") == [0, 1]


@pytest.mark.parametrize("train", [[2, 1, 10], [2.0, 1.0, 10.0], ["2.0", "1.0", "10.0"], ["2", "1", "10"]])
def test_a_whole_number_is_the_same_label_with_and_without_decimals(train: list) -> None:
    names = tuple(in_order(train))
    for values in ([1, 2, 10], [1.0, 2.0, 10.0], ["1", "2", "10"], ["1.0", "2.0", "10.0"]):
        assert numbers_of(values, names, "here") == [0, 1, 2]
    assert in_order(["10.5", "2.0", "-1"]) == ["-1", "2.0", "10.5"]
    with pytest.raises(ValueError, match=r"here has labels that differ only in .* or decimals: '1', '1.0'\. Correct"):
        check_names(("1", "1.0", "2"), 9, "classification", "here")


def test_whole_numbers_are_in_the_order_of_their_values() -> None:
    assert in_order(["10", "2", "-1", "2"]) == ["-1", "2", "10"] and in_order([10, 2]) == ["2", "10"]
    assert in_order(["b", "10", "a"]) == ["10", "a", "b"] and in_order(["²", "1"]) == ["1", "²"]
    assert [is_missing(value) for value in (None, "", float("nan"), 0, False, "a")] == [True] * 3 + [False] * 3


def test_a_set_of_labels_is_a_flag_for_each() -> None:
    assert flags_of_sets([["c", "a"], [], [1]], ("a", "b", "c"), "here") == [(1, 0, 1), (0, 0, 0), (0, 1, 0)]
    for twice in (["a", "c", "a"], ["b", 1], [1, 1, 0]):
        with pytest.raises(ValueError, match=r"here has 1 rows that name a label twice, such as \[.*a column of 0 and"):
            flags_of_sets([["c"], twice], ("a", "b", "c"), "here")


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_a_list_of_flags_is_no_list_of_labels(labels: tuple) -> None:
    """As names they would be two labels, 0 and 1, in rows of any number of flags."""
    for rows in ([[1, 0], [1, 1]], [[True, False]] * 2, [["0", "1"], ["1", "1"]], [[1.0, 0.0]]):
        with pytest.raises(ValueError, match=r"here has a list of flags .* such as \[.*: \{labels: \[a, b, c\]\}"):
            check_sets(rows, labels, "here")
    for rows in ([[1, 0], [1]], [[1, 2], [0, 1]], [["a", "b"]], [[], []], [None, [1], []]):
        check_sets(rows, labels, "here")
    check_sets([[0], [1]], ("a", "b"), "here")
    check_sets([["0", "1"]], ("0", "1"), "here")


@pytest.mark.parametrize("values", [[1, True], [0, True], ["1", "2", False], [1.0, "true"], ["0", "TRUE"]])
def test_true_and_false_are_no_labels_beside_numbers(values: list) -> None:
    with pytest.raises(
        ValueError, match=r"here has labels of true or false beside numbers: '.*Correct the rows, or name"
    ):
        check_names(in_order(values), 9, "classification", "here")
    for fine in ([True, False], ["true", "unknown"], [1, 2]):
        check_names(in_order(fine), 9, "classification", "here")


def test_numbers_of_a_declared_class_are_its_names() -> None:
    features = datasets.Features(label=datasets.ClassLabel(names=["no", "yes"]), text=datasets.Value("string"))
    rows = datasets.Dataset.from_dict({"label": [1, 0], "text": ["a", "b"]}, features=features)
    assert declared_names(rows, "label") == ("no", "yes") and declared_names(rows, "text") == ()
    assert named([[1, 0], 1, -1], ("no", "yes")) == [["yes", "no"], "yes", None]
