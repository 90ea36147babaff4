"""A recipe that extends another differs in what it names."""

from pathlib import Path
from typing import Any

import pytest

from causalkd.recipe.overrides import apply_change, merged
from causalkd.recipe.recipe import Recipe, read_mapping

BASE = {"data": {"task": "rte", "max_length": 64}, "students": [{"name": "a", "x": {"y": 1, "z": 2}}, {"name": "b"}]}


def test_keys_replace_and_keys_inside_keys_alike() -> None:
    assert merged(BASE, {"data": {"task": "mrpc"}, "seeds": [1]}) == {
        **BASE, "data": {"task": "mrpc", "max_length": 64}, "seeds": [1]
    }  # fmt: skip
    assert BASE["data"] == {"task": "rte", "max_length": 64}
    assert merged({"steps": 3}, {"steps": None}) == {"steps": None}


def test_items_are_changed_added_and_left_out_by_their_names() -> None:
    changed = merged(BASE, {"students": {"a": {"x": {"y": 5}}, "b": None, "c": {"layers": [0]}}})
    assert changed["students"] == [{"name": "a", "x": {"y": 5, "z": 2}}, {"name": "c", "layers": [0]}]
    assert merged(BASE, {"students": [{"name": "d"}]})["students"] == [{"name": "d"}]
    assert merged({"seeds": [0, 1]}, {"seeds": {"a": 1}}) == {"seeds": {"a": 1}}  # no list of named items


def test_either_length_of_a_training_replaces_the_other() -> None:
    assert merged({"t": {"steps": 3, "x": 1}}, {"t": {"epochs": 2}}) == {"t": {"x": 1, "epochs": 2}}
    assert merged({"epochs": 3}, {"steps": 2}) == {"steps": 2} == merged({"steps": 3}, {"steps": 2})
    assert merged({"steps": 3}, {"epochs": None}) == {"steps": 3, "epochs": None}


def test_an_added_item_without_keys_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("extends: quickstart\nname: one\nstudents: {c: 5}\n")
    with pytest.raises(ValueError, match=r"students\[2\]: 5 given, but this has keys: name, "):
        Recipe.load(tmp_path / "one.yaml")


def test_a_file_extends_a_file_beside_it_and_a_shipped_recipe(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("extends: quickstart\nname: one\nstudents: {kd: {training: {steps: 3}}}\n")
    (tmp_path / "two.yaml").write_text("extends: one.yaml\nname: two\nstudents: {diito: null}\n")
    quickstart, one, two = (
        Recipe.load(source) for source in ("quickstart", tmp_path / "one.yaml", tmp_path / "two.yaml")
    )
    assert one.students[1] == quickstart.students[1] and one.students[0].training == {"steps": 3}
    assert two.students == one.students[:1] and (two.name, two.teacher) == ("two", quickstart.teacher)
    assert Recipe.load(tmp_path / "two.yaml", ["students.kd.training.steps=7"]).students[0].training == {"steps": 7}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"one": "extends: one.yaml\n"}, "extend one another in a circle: one.yaml, one.yaml"),
        ({"one": "extends: two.yaml\n", "two": "extends: one.yaml\n"}, "in a circle"),
        ({"one": "extends: quickstrat\n"}, "recipe 'quickstrat' is neither a shipped recipe nor a file"),
        ({"one": "extends: [quickstart]\n"}, "give the name of a shipped recipe, or a file"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, texts: dict[str, str], told: str) -> None:
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ValueError, match=told.replace("[", r"\[")):
        read_mapping(tmp_path / "one.yaml")


def test_files_of_one_name_in_two_folders_are_no_circle(tmp_path: Path) -> None:
    for folder, base in (("a/b", "../base.yaml"), ("a", "../base.yaml"), (".", "quickstart")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        name = "one.yaml" if folder == "a/b" else "base.yaml"
        (tmp_path / folder / name).write_text(f"extends: {base}\n")
    assert read_mapping(tmp_path / "a" / "b" / "one.yaml")["name"] == "quickstart"


def test_a_change_names_its_place() -> None:
    data = {"a": {"b": [{"name": "x", "c": 1}]}}
    apply_change(data, "a.b.x.c=[2, 3]")
    assert data == {"a": {"b": [{"name": "x", "c": [2, 3]}]}}
    with pytest.raises(ValueError, match="'y' is not an item of a list of 1; items are numbered from 0, or named: x"):
        apply_change(data, "a.b.y.c=1")


def test_a_name_may_hold_dots() -> None:
    data = {"a": [{"name": "v1", "b": 0}, {"name": "v1.5", "b": {"c": 1}}], "tasks": {"rte-v1.5": {"d": 2}}}
    for change in ("a.v1.5.b.c=3", "a.v1.b=4", "tasks.rte-v1.5.d=5"):
        apply_change(data, change)
    assert data == {"a": [{"name": "v1", "b": 4}, {"name": "v1.5", "b": {"c": 3}}], "tasks": {"rte-v1.5": {"d": 5}}}


def test_a_star_is_every_item() -> None:
    data = {"a": [{"name": "x", "b": {"c": 1, "d": 2}}, {"name": "y"}], "s": [1, 2]}
    apply_change(data, "a.*.b.c=[2, 3]")
    assert data["a"] == [{"name": "x", "b": {"c": [2, 3], "d": 2}}, {"name": "y", "b": {"c": [2, 3]}}]
    with pytest.raises(ValueError, match=r"s\.\* is 1 and holds no keys"):
        apply_change(data, "s.*.b=1")


@pytest.mark.parametrize("value", ["runs/exp #2", "#3", "[a, b] # c", "my data #1.csv", "[a, #b\n b]", "'x #1' #2"])
def test_a_value_that_a_comment_would_cut_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="YAML leaves out what follows a # after a space"):
        apply_change({}, f"output={value}")


@pytest.mark.parametrize("value", ["'runs/exp #2'", '"x #2"', "x#2", "[a, 'b #1']", "|\n t # x"])
def test_a_hash_that_begins_no_comment_is_of_the_value(value: str) -> None:
    data: dict[str, Any] = {}
    apply_change(data, f"output={value}")
    assert "#" in str(data["output"])
