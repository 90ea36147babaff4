"""A head's outputs: the likelihood that a task has, and their names."""

from pathlib import Path

import pytest

from causalkd.models.head_labels import MOST_LABELS, label_names
from causalkd.models.load import load_model
from tests.tiny import tiny


def _saved(folder: Path, problem: str | None, labels: int = 3) -> Path:
    model = tiny("bert", "classification", labels=labels)
    model.config.problem_type = problem
    model.save_pretrained(folder)
    return folder


def test_a_checkpoint_of_another_likelihood_is_refused(tmp_path: Path) -> None:
    several = _saved(tmp_path / "several", "multi_label_classification")
    one = _saved(tmp_path / "one", "single_label_classification")
    number = _saved(tmp_path / "number", "regression", labels=2)
    cases = [
        (several, "classification", "'multi_label_classification', so its outputs are not a distribution over one .*"
         "or the task multi_label"),
        (one, "multi_label", "'single_label_classification', so its outputs are not a probability of each label"),
        (number, "classification", "'regression', so its outputs .* or the task regression"),
    ]  # fmt: skip
    for folder, task, words in cases:
        with pytest.raises(ValueError, match=f"problem_type {words}"):
            load_model(folder, task=task, role="teacher")
        fresh = load_model(folder, task=task, role="student", labels=("a", "b"), new_head=True)
        assert label_names(fresh) == ("a", "b")


def test_a_head_of_several_labels_keeps_its_likelihood_and_names(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "several", "multi_label_classification")
    loaded = load_model(folder, task="multi_label", role="student", labels=("x", "y", "z"))
    assert label_names(loaded) == ("x", "y", "z") and loaded.model.config.problem_type == "multi_label_classification"
    loaded.save_pretrained(tmp_path / "again")
    again = load_model(tmp_path / "again", task="multi_label", role="teacher")
    assert label_names(again) == ("x", "y", "z")
    with pytest.raises(
        ValueError, match=r"has the labels \['x', 'y', 'z'\], but the labels \['x', 'z', 'y'\] were asked for"
    ):
        load_model(tmp_path / "again", task="multi_label", role="teacher", labels=("x", "z", "y"))


def test_more_labels_than_a_set_is_coded_with_are_refused(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "many", None)
    many = [f"label {number}" for number in range(MOST_LABELS + 1)]
    with pytest.raises(ValueError, match="63 labels of which a row may have several, and sets of at most 62"):
        load_model(folder, task="multi_label", role="student", labels=many, new_head=True)
