from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from causalkd.data.tasks.declared_splits import declares_splits, saved_splits
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.preview import preview
from causalkd.data.tasks.split_parts import PartOf

CARD = """---
configs:
- config_name: one
  data_files:
  - {split: train, path: data/one_*.csv}
  - {split: test, path: data/t.csv}
- config_name: two
  data_files: data/two.csv
---
# Reviews
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def _rows(number: int) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["yes", "no"])})
    rows = {"text": [f"fox {n}" for n in range(number)], "label": [n % 2 for n in range(number)]}
    return Dataset.from_dict(rows, features=features)


def test_a_saved_data_set_keeps_its_splits_and_the_names_of_its_classes(tmp_path: Path) -> None:
    DatasetDict(train=_rows(8), test=_rows(4)).save_to_disk(str(tmp_path / "both"))
    own = OwnData(str(tmp_path / "both"), "classification")
    assert {name: len(own.table(name).rows) for name in ("train", "test", "validation")} == {
        "train": 7,
        "test": 4,
        "validation": 1,
    }
    assert own.label_names() == ("yes", "no") and own.rows(own.table("test"))[0] == ("fox 0", "yes")
    _rows(8).save_to_disk(str(tmp_path / "one"), num_shards=2)
    assert len(OwnData(str(tmp_path / "one"), "classification").table("train").rows) == 7
    assert "label: yes 4, no 4" in preview(str(tmp_path / "one"))


def test_a_saved_data_set_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds a data set of `save_to_disk` that cannot be read \("):
        saved_splits(str(tmp_path))


def test_the_card_of_a_hub_data_set_says_which_files_are_of_which_split(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, rows in (("one_1", "a,x\nb,y\n"), ("one_2", "c,x\nd,y\n"), ("t", "e,x\n"), ("two", "f,x\n")):
        (tmp_path / f"data/{name}.csv").write_text(f"text,label\n{rows}")
    assert not declares_splits(str(tmp_path))
    (tmp_path / "README.md").write_text(CARD)
    own = OwnData(str(tmp_path), "classification", config="one")
    assert sorted(own.known_splits) == ["test", "train", "validation"]
    assert own.table("test").rows["text"][:] == ["e"] and len(own.table("train").rows) == 3
    with pytest.raises(ValueError, match=r"cannot be read as its README\.md says \(ValueError: Config name is missing"):
        _ = OwnData(str(tmp_path), "classification").sources
    (tmp_path / "README.md").write_text("# Reviews\nconfigs:\n")
    assert not declares_splits(str(tmp_path))


def test_slices_that_share_rows_are_found_by_their_rows(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("one_1", "t"):
        (tmp_path / f"data/{name}.csv").write_text("text,label\n" + "".join(f"fox {n},x\n" for n in range(40)))
    (tmp_path / "README.md").write_text(CARD)

    def shared(one: str | None = None, **splits: str | PartOf) -> list[str]:
        given = {**({} if one is None else {"train": one}), **splits}
        return OwnData(str(tmp_path), "classification", splits=given, config="one").shared("train", "validation")

    assert shared(validation="train[75%:]") == [f"10 rows of {tmp_path} that train and train[75%:] share"]
    assert shared("train[:80%]+test", validation="train[75%:]")[0].startswith("2 rows")
    assert shared("all", validation="test")[0].startswith("40 rows")
    assert shared(more="train[:50%]", validation=PartOf("more", 0.5))[0].startswith("20 rows")
    assert shared("train[:75%]", validation="train[75%:]") == shared(validation="test") == shared() == []
    assert shared(validation=PartOf("train", 0.5)) == []
    with pytest.raises(ValueError, match=r"is 'dev\[:9\]', and .* has no split dev; it has train, test\. Correct it"):
        OwnData(str(tmp_path), "classification", splits={"validation": "dev[:9]"}, config="one").table("validation")


def test_a_saved_data_set_has_no_slices(tmp_path: Path) -> None:
    _rows(8).save_to_disk(str(tmp_path))
    for name in ("train[:5]", "dev"):
        with pytest.raises(ValueError, match=r"has no split .*; .* has train\. |has no split .*; it has train\. "):
            OwnData(str(tmp_path), "classification", splits={"validation": name}).table("validation")


def test_several_splits_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    names = ("train_r1", "train_r2", "dev_r1", "test_a", "test_b")
    DatasetDict({name: _rows(8) for name in names}).save_to_disk(str(tmp_path / "rounds"))
    several = r"has several splits that may be `train`: train_r1, train_r2\. Name one .* as `train: train_r1\+train_r2`"
    with pytest.raises(ValueError, match=several):
        OwnData(str(tmp_path / "rounds"), "classification").table("train")
    own = OwnData(str(tmp_path / "rounds"), "classification", splits={"train": "train_r2"})
    assert [own.table(name).origin.split()[-1] for name in ("train", "validation", "test_b")] == [
        *("train_r2", "dev_r1", "test_b")
    ]
    DatasetDict(train=_rows(8), train_small=_rows(4)).save_to_disk(str(tmp_path / "exact"))
    exact = OwnData(str(tmp_path / "exact"), "classification", validation_share=None)
    assert len(exact.table("train").rows) == 8 and len(exact.table("train_small").rows) == 4


def test_files_have_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\n")
    for given in ({"config": "en"}, {"revision": "main"}):
        with pytest.raises(ValueError, match=r"`config` and `revision` belong to hub data sets, but .*Remove them"):
            _ = OwnData(str(tmp_path / "a.csv"), "classification", **given).sources
