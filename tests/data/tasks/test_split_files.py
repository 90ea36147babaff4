from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.split_files import files_by_split
from causalkd.data.tasks.split_parts import PartOf


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


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
    with pytest.raises(ValueError, match=r"has train\.csv, whose name .*, and extra\.csv, whose name tells no split"):
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


def test_no_row_is_drawn_for_two_splits(tmp_path: Path) -> None:
    """Both are drawn with one seed, so without care one would be the other."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"fox {n},{n % 2}\n" for n in range(30)))
    splits = {"validation": PartOf("train", 0.2), "test": PartOf("train", 0.1)}
    own = OwnData(str(path), "classification", splits=splits)
    texts = {split: set(own.table(split).rows["text"]) for split in ("train", "validation", "test")}
    assert {split: len(found) for split, found in texts.items()} == {"train": 21, "validation": 6, "test": 3}
    assert len(set.union(*texts.values())) == 30
    alone = OwnData(str(path), "classification", splits={"validation": PartOf("train", 0.2)})
    assert set(alone.table("validation").rows["text"]) == texts["validation"]
    much = {"validation": PartOf("train", 0.6), "test": PartOf("train", 0.5)}
    with pytest.raises(ValueError, match=r"0\.5 of 30 rows, of which other splits have 18, leaves one of both"):
        OwnData(str(path), "classification", splits=much).table("test")
    with pytest.raises(ValueError, match=r"100.0 of 30 rows leaves one of both parts empty"):
        OwnData(str(path), "classification", splits={"validation": PartOf("train", 100.0)}).table("validation")


@pytest.mark.parametrize("name", ["dev", "validaton"])
def test_a_split_of_another_name_is_not_left_out_silently(tmp_path: Path, name: str) -> None:
    """The training rows would be divided, and the file that was meant never be read."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "the fox,a\nthe cat,b\n" * 5)
    own = OwnData(str(path), "classification", splits={name: "dev.csv"})
    with pytest.raises(ValueError, match=rf"`splits` names {name} but no `validation`, so a part of `train` would be"):
        own.table("train")
    declared = {name: "dev.csv", "validation": PartOf("train", 0.2)}
    assert len(OwnData(str(path), "classification", splits=declared).table("train").rows) == 8
