from pathlib import Path

import pytest
from pydantic import BaseModel, StrictInt, StrictStr, ValidationError

from causalkd.alignment.spec import Alignment
from causalkd.errors import fault_lines, few
from causalkd.recipe.recipe import Recipe


def test_one_error_lists_every_fault_with_the_nearest_valid_name():
    with pytest.raises(ValueError) as error:
        Alignment.from_yaml("""
name: bad
position: {policy: consecutive}
positions: {policy: consecutiv, fraction: 2}
pairs:
  - name: first
    teacher: [{layer: six, component: block_outputs}, {componnt: block_output, layer: 1, unit: h_pos}]
    student: {layer: 1}
  - teacher: [{component: block_output}, 7]
    student: [{layer: 1, source: {layr: 2}}]
""")
    assert str(error.value).splitlines() == [
        "alignment 'bad' cannot be read:",
        "  positions.policy: 'consecutiv' is not valid; did you mean consecutive?",
        "  positions.fraction: 2 given; input should be less than or equal to 1",
        "  pairs[0].teacher[0].layer: 'six' given; input should be a valid integer",
        "  pairs[0].teacher[0].component: 'block_outputs' is not a component; did you mean block_output?",
        "  pairs[0].teacher[1].unit: 'h_pos' is not valid; did you mean h.pos?",
        "  pairs[0].teacher[1].componnt: unknown key; did you mean component?",
        "  pairs[0].student: {'layer': 1} given, but this is a list; write it in brackets or as lines that begin with "
        "a dash",
        "  pairs[1].name: missing; this key is required",
        "  pairs[1].teacher[0].layer: missing; this key is required",
        "  pairs[1].teacher[1]: 7 given, but this has keys: layer, component, unit, heads, subspace_partition, "
        "subspaces, basis, source",
        "  pairs[1].student[0].source.layer: missing; this key is required",
        "  pairs[1].student[0].source.layr: unknown key; did you mean layer?",
        "  position: unknown key; did you mean positions?",
    ]


def test_a_fault_of_a_policy_is_one_line():
    with pytest.raises(ValueError) as error:
        Alignment.from_yaml("""
name: bad
positions: {policy: segments}
pairs: [{name: p, teacher: [{layer: 1}], student: [{layer: 1}]}]
""")
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith("  positions: position policy 'segments'")


def test_a_fault_of_a_union_is_one_line():
    class Key(BaseModel):
        key: StrictInt | StrictStr

    with pytest.raises(ValidationError) as error:
        Key.model_validate({"key": 1.5})
    assert fault_lines(error.value, Key) == [
        "key: 1.5 given; input should be a valid integer or 1.5 given; input should be a valid string"
    ]


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"part_of": "train"}, "data.splits.train.share: missing; this key is required"),
        ({"part_of": "train", "share": 1.5}, "data.splits.train.share: 1.5 given; input should be less than 1"),
        ({"part_off": "train", "share": 0.5}, "data.splits.train.part_off: unknown key; did you mean part_of?"),
        (3, "data.splits.train: 3 given; input should be a valid string or 3 given, but this has keys: part_of, share"),
    ],
)
def test_a_fault_below_a_name_that_the_user_gave_has_its_whole_path(split: object, told: str) -> None:
    with pytest.raises(ValueError) as error:
        Recipe.parse({"data": {"path": "rows.csv", "kind": "classification", "splits": {"train": split}}})
    lines = [line for line in str(error.value).splitlines() if "splits" in line]
    assert any(line.startswith(f"- {told}") for line in lines)
    assert sum("valid string" in line for line in lines) == (split == 3)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({3: "a"}, ["data.columns[3]: 3 given; input should be a valid string"]),
        ({"text": ["a", 3]}, ["data.columns.text[1]: 3 given; input should be a valid string"]),
    ],
)
def test_a_fault_in_a_name_or_in_a_list_is_one_line(columns: dict[object, object], told: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        Recipe.parse({"data": {"path": "rows.csv", "kind": "classification", "columns": columns}})
    assert [line.removeprefix("- ") for line in str(error.value).splitlines() if "columns" in line] == told


def test_a_file_that_is_no_alignment_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(ValueError, match=r"a\.yaml: an alignment has the keys name, positions and pairs; None was"):
        Alignment.from_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", "line 2: key 'name' is written twice"),
        ("name: [a\npairs: b", "line 2: "),
        ("- a\n- b", "an alignment has the keys name, positions and pairs; ['a', 'b'] was given"),
        ("name: \x01", "the alignment cannot be read: unacceptable character"),
        ("nowhere.yaml", "'nowhere.yaml' is neither a file nor YAML text; check the path"),
    ],
)
def test_text_that_is_no_alignment(text: str, message: str):
    with pytest.raises(ValueError) as error:
        Alignment.from_yaml(text)
    assert message in str(error.value)


def test_a_file_that_is_no_text(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"the alignment in .*mine\.yaml cannot be read: .*cannot be read as text"):
        Alignment.from_yaml(path)


def test_a_long_value_does_not_hide_what_is_to_be_done_about_it() -> None:
    training = {"steps": {f"key{number}": number for number in range(500)}}
    with pytest.raises(ValueError) as raised:
        Recipe.parse({"training": training})
    (line,) = [line for line in str(raised.value).splitlines() if "training.steps" in line]
    assert len(line) < 300 and line.endswith("more characters) given; input should be a valid integer")


def test_many_names_are_shown_as_a_few_and_a_number():
    assert few(["a", "b"]) == "a, b" and few(range(1014), 3) == "0, 1, 2 and 1,011 more"
