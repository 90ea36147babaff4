import pytest

from causalkd.data.tasks.split_parts import PartOf, drawn_parts, shared_rows, sliced_splits


def test_no_row_is_drawn_for_two_parts_of_a_split() -> None:
    parts = {"train": "a.csv", "validation": PartOf("train", 0.4), "test": PartOf("train", 0.4), "x": PartOf("y", 0.5)}
    found = drawn_parts(parts, "train", 10)
    assert [len(found[name]) for name in ("validation", "test")] == [4, 4] and len(found) == 2
    assert not set(found["validation"]) & set(found["test"])
    with pytest.raises(
        ValueError, match=r"0\.4 of 2 rows, of which other splits have 1, leaves one of both parts empty"
    ):
        drawn_parts(parts, "train", 2)


def test_slices_name_splits_and_share_rows() -> None:
    assert sliced_splits("train[:10%]+test [5:]", []) == ["train", "test"] and sliced_splits("all", ["a", "b"]) == [
        "a",
        "b",
    ]
    sizes = {"train": 40, "test": 8}
    for one, other, shared in (
        ("train", "train[75%:]", 10),
        ("train[:-5]", "train[-10:]+test", 5),
        ("train[:50%]", "train[50%:]", 0),
        ("all", "test[:3]", 3),
    ):
        assert shared_rows(one, other, sizes) == shared_rows(other, one, sizes) == shared
