from pathlib import Path

import pytest

from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.split_files import files_by_split


def _split(folder: Path, *names: str, path: str = "", **declared: str) -> dict[str, list[str]]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text,label\na,x\n")
    own = OwnData(str(folder / path), "classification", splits=declared)
    return {str(split): [str(file.relative_to(folder)) for file in files] for split, files in own.sources.items()}


def test_names_of_files_say_their_split(tmp_path: Path) -> None:
    found = _split(tmp_path, "training.csv", "testing.csv", "valid.csv", "my_dev.csv")
    assert found == {"validation": ["my_dev.csv", "valid.csv"], "test": ["testing.csv"], "train": ["training.csv"]}


def test_names_of_folders_say_it_where_those_of_files_do_not(tmp_path: Path) -> None:
    names = ("train/pos/1.csv", "train/neg/2.csv", "test/pos/3.csv", "test/deep/dev.csv")
    expected = {"train": ["train/neg/2.csv", "train/pos/1.csv"], "test": ["test/pos/3.csv"], "validation": [names[3]]}
    assert _split(tmp_path / "test-run", *names) == expected, "and the folder that is named says nothing"
    assert _split(tmp_path / "test-run", path="*/*/*.csv") == expected


def test_files_that_say_nothing_are_the_training_split(tmp_path: Path) -> None:
    assert _split(tmp_path, "a.csv", "b.csv") == {"train": ["a.csv", "b.csv"]}
    assert _split(tmp_path, "c_test.csv") == {"train": ["a.csv", "b.csv"], "test": ["c_test.csv"]}
    (tmp_path / "alone").mkdir()
    assert _split(tmp_path / "alone", "test.csv") == {"train": ["test.csv"]}


def test_files_that_say_nothing_beside_the_training_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has train\.csv, whose name .*, and extra\.csv, whose name says no split"):
        _split(tmp_path, "train.csv", "extra.csv", "test.csv")
    assert _split(tmp_path, train="train") == {"train": ["train.csv"], "test": ["test.csv"]}
    assert _split(tmp_path, validation="extra.csv") == {"train": ["train.csv"], "test": ["test.csv"]}


def test_a_file_that_is_named_for_one_split_is_in_no_other(tmp_path: Path) -> None:
    """Or what a student is measured on would be among what it learns from."""
    assert _split(tmp_path, "a.csv", "b.csv", "held.csv", validation="held.csv") == {"train": ["a.csv", "b.csv"]}
    own = OwnData(str(tmp_path), "classification", splits={"validation": "held.csv"})
    assert own.files("validation") == [tmp_path / "held.csv"] and len(own.table("train").rows) == 2
    assert _split(tmp_path, path="*.csv", test="held.csv", validation="b.csv") == {"train": ["a.csv"]}


def test_every_file_may_be_named(tmp_path: Path) -> None:
    _split(tmp_path, "a.csv", "b.csv")
    own = OwnData(str(tmp_path), "classification", splits={"train": "a.csv", "validation": "b.csv"})
    assert own.files("train") == [tmp_path / "a.csv"] and own.files("validation") == [tmp_path / "b.csv"]
    assert len(own.table("train").rows) == 1


def test_a_split_that_is_named_as_a_folder_stays_whole(tmp_path: Path) -> None:
    names = ("train/a.csv", "heldout/b.csv")
    with pytest.raises(ValueError, match=r"has a\.csv, whose name says .*, and b\.csv"):
        _split(tmp_path, *names)
    assert _split(tmp_path, train="train", validation="heldout") == {"train": ["train/a.csv"]}


def test_nothing_is_declared_of_nothing() -> None:
    assert files_by_split("none", [], lambda _: [], {}) == {}
