"""A study as data: its grid, the identity of its cells, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from causalkd.files.strict_yaml import dump_text
from causalkd.recipe.study import Study, choice_key

ALIGNMENT = {
    "name": "x",
    "positions": {"policy": "all"},
    "pairs": [{"name": "p", "teacher": [{"layer": 0}], "student": [{"layer": 0}]}],
}


RATES = {"training.learning_rate": [1e-3, 2e-3]}


def _study(folder: Path, **keys: Any) -> Study:
    file = folder / "study.yaml"
    file.write_text(json.dumps({"name": "s", "recipe": "quickstart", **keys}))
    return Study.load(file)


def test_the_grid_is_variants_by_fields_by_seeds(tmp_path: Path) -> None:
    study = _study(
        tmp_path,
        variants={"near": {"data.group": 4}, "far": {"data.sources": "dataset"}},
        grid={"training.learning_rate": [1e-3, 2e-3], "data.train_limit": [100, 200]},
        seeds=[3, 4],
    )
    cells = study.cells()
    assert len(cells) == len({cell.name for cell in cells}) == 16
    assert [cell.seed for cell in cells[:2]] == [3, 4] and cells[0].recipe.seeds == (3,)
    assert cells[0].setting == {"training.learning_rate": 1e-3, "data.train_limit": 100}
    assert {(c.variant, c.recipe.data.group, c.recipe.data.sources) for c in cells} == {
        ("near", 4, "batch"),
        ("far", 8, "dataset"),
    }
    assert cells[0].recipe.folder == Path("studies/s/cells") / cells[0].name
    assert cells[0].method("kd") == "near/kd"


def test_a_cell_keeps_its_name_until_something_it_depends_on_changes(tmp_path: Path) -> None:
    one = _study(tmp_path, seeds=[0]).cells()[0].name
    assert _study(tmp_path, seeds=[0, 1]).cells()[0].name == one
    written_out = {"training.max_grad_norm": [1.0], "data.prompt": ["alpaca"]}  # what the defaults are anyway
    assert _study(tmp_path, grid=written_out).cells()[0].name == one
    assert _study(tmp_path, grid={"data.train_limit": [50]}).cells()[0].name != one
    assert _study(tmp_path, budget={"minutes": 1}).cells()[0].name != one


@pytest.mark.parametrize(("budget", "key", "amount"), [({"steps": 7}, "steps", 7), ({"epochs": 0.5}, "epochs", 0.5)])
def test_equal_steps_and_epochs_replace_every_length(tmp_path: Path, budget: Any, key: str, amount: float) -> None:
    recipe = _study(tmp_path, budget=budget).cells()[0].recipe
    for part in recipe.students:
        training = recipe.training_of(part)
        assert (training.steps, training.epochs) == ((amount, None) if key == "steps" else (None, amount))


def test_the_teacher_is_shared_by_the_seeds_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert [cell.recipe.teacher.seed for cell in _study(tmp_path, seeds=[1, 2]).cells()] == [0, 0]
    several = _study(tmp_path, seeds=[1, 2], teacher_seeds=True)
    assert [cell.recipe.teacher.seed for cell in several.cells()] == [1, 2]


def test_a_value_of_a_field_is_what_the_study_s_file_says(tmp_path: Path) -> None:
    path = "\U0001f600/\u2028/é"
    cells = _study(tmp_path, grid={"teacher": [{"model": path}]}).cells()
    assert [cell.recipe.teacher.model for cell in cells] == [path]
    (tmp_path / "dated.yaml").write_text("{name: s, recipe: quickstart, grid: {data.revision: [2024-01-02]}}")
    with pytest.raises(ValueError, match="input should be a valid string"):
        Study.load(tmp_path / "dated.yaml")


def test_a_recipe_beside_the_study_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "{name: own, teacher: {model: t}, alignment: middle, training: {},"
        " students: [{name: a, every: 2, objectives: {task: {}}}]}"
    )
    assert _study(tmp_path, recipe="own.yaml").cells()[0].recipe.students[0].name == "a"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"seed": [1]}, "did you mean seeds?"),
        (
            {"budget": {"steps": 1, "minutes": 2}},
            "give one of steps, epochs, block_forwards, operations, minutes; got steps, minutes",
        ),
        ({"budget": {}}, "got none"),
        ({"seeds": [1, 1]}, "seeds are named twice"),
        ({"grid": {"data.train_limit": [2, 2]}}, "has a value twice"),
        ({"grid": {"training.learning_rate": [1, 1.0]}}, "1.0 and training.learning_rate 1 are the same run; leave"),
        ({"grid": {"data.train_limit": []}}, "has no values"),
        ({"grid": {"data.trainlimit": [2]}}, "did you mean train_limit?"),
        ({"variants": {"a/b": {}}}, "variant 'a/b' is no name"),
        ({"measure_at": {"a/b": ALIGNMENT}}, "place of measure_at 'a/b' is no name"),
        ({"references": ["kdd"]}, "there is no 'kdd'; did you mean kd?"),
        ({"recipe": "quickstat"}, "did you mean quickstart?"),
        ({"choose": {"fields": {"training.learningrate": [1]}}}, "did you mean learning_rate?"),
        ({"choose": {"fields": {"objectives.diito.weight": [1.0]}}}, "the student 'kd' has no objective 'diito'"),
        ({"choose": {"fields": RATES}, "grid": {"data.heldout_share": [0.1]}}, "chosen on rows that the study holds"),
        (
            {"choose": {"fields": RATES}, "grid": RATES},
            "grid.training.learning_rate and choose.fields.training.learning_rate both set",
        ),
        ({"power": {"pilot_seeds": 3}, "seeds": [0, 1]}, "power needs 3 seeds, there are 2"),
        ({"power": {"sd": {"f1": 0.1}}}, "power needs 2 seeds, there are 1"),
    ],
)
def test_faults_are_told_before_anything_runs(tmp_path: Path, keys: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"study|recipe|reference|choose|grid") as error:
        _study(tmp_path, **keys)
    assert words in str(error.value)


def test_a_written_study_reads_back_equal(tmp_path: Path) -> None:
    study = _study(tmp_path, measure_at={"here": ALIGNMENT}, budget={"steps": 2}, evaluate=[{"task": "mrpc"}])
    file = tmp_path / "again.yaml"
    file.write_text(json.dumps(study.model_dump(mode="json", exclude_defaults=True)))
    assert Study.load(file) == study
    assert study.evaluate[0].label == "mrpc/validation"


def test_settings_are_chosen_in_a_study_of_its_own_on_the_training_examples(tmp_path: Path) -> None:
    choose = {"fields": RATES, "share": 0.2, "seeds": [7], "budget": {"steps": 3}}
    grid = {"data.train_limit": [100, 200]}
    study = _study(
        tmp_path, choose=choose, grid=grid, seeds=[0, 1], power={"pilot_seeds": 2}, evaluate=[{"task": "mrpc"}]
    )
    choosing = study.choosing()
    assert (choosing.evaluate, choosing.choose, choosing.power) == ((), None, None)
    cells = choosing.cells()
    assert len(cells) == 4 and {cell.seed for cell in cells} == {7}
    assert {cell.recipe.data.heldout_share for cell in cells} == {0.2}
    for cell in cells:
        trainings = [cell.recipe.training_of(part) for part in cell.recipe.students]
        assert {(each.steps, each.learning_rate) for each in trainings} == {
            (3, cell.setting["students.*.training.learning_rate"])
        }
    assert choosing.folder == study.folder / "choosing"
    assert all(cell.recipe.data.heldout_share is None for cell in study.cells())
    assert _study(tmp_path).choosing() == _study(tmp_path)


@pytest.mark.parametrize("budget", [{"steps": 3}, {"block_forwards": 1000}])
def test_the_study_that_chooses_settings_is_read_back_from_its_file_with_the_same_cells(
    tmp_path: Path, budget: dict[str, Any]
) -> None:
    rows = {"path": str(tmp_path / "rows.csv"), "kind": "classification"}
    grid = {"data": [{**rows, "seed": seed} for seed in (0, 1)], "students.*.training.steps": [5, 9]}
    study = _study(tmp_path, grid=grid, choose={"fields": RATES, "budget": budget})
    choosing, file = study.choosing(), tmp_path / "choosing.yaml"
    file.write_text(dump_text(choosing.model_dump(mode="json", exclude_defaults=True)))
    again = Study.load(file)
    assert again == choosing and again.cells() == choosing.cells()
    assert all(cell.recipe.data.keep_validation for cell in again.cells())


def test_what_is_chosen_is_of_one_student_in_one_setting(tmp_path: Path) -> None:
    study = _study(tmp_path, choose={"fields": RATES}, grid={"data.train_limit": [100, 200]})
    chosen = {choice_key("", "kd", {"data.train_limit": 100}): {"training.learning_rate": 9e-3}}
    before, after = study.cells(), study.cells(chosen)
    kd, diito = (after[0].recipe.training_of(part).learning_rate for part in after[0].recipe.students)
    assert (kd, diito) == (9e-3, before[0].recipe.training.learning_rate)
    assert after[0].name != before[0].name and after[1] == before[1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"grid": {"seeds": [[0], [1]]}}, r"grid\.seeds would have no effect: give `seeds` of the study"),
        ({"grid": {"output": ["a", "b"]}}, r"grid\.output would have no effect: cells lie in the study's folder"),
        ({"variants": {"a": {"name": "b"}}}, r"variants\.a\.name would have no effect"),
        ({"grid": {"teacher.seed": [0, 1]}, "teacher_seeds": True}, r"teacher\.seed would have .* seed of the cell"),
        ({"grid": {"training.steps": [5, 9]}, "budget": {"epochs": 1}}, r"grid\.training\.steps .* the `budget`"),
        ({"grid": {"students.*.training.epochs": [1, 2]}, "budget": {"minutes": 1}}, r"epochs .* the `budget`"),
        ({"variants": {"a": {"students.kd.training.steps": 5}}, "budget": {"steps": 1}}, r"variants\.a\.students\.kd"),
        (
            {"grid": {"training.steps": [100, 1000]}},
            r"training\.steps 100: training\.steps would have no effect: every",
        ),
        (
            {"grid": {"training": [{"steps": 3}]}, "budget": {"steps": 7}},
            r"sets training\.steps, would .* the `budget`",
        ),
    ],
)
def test_fields_that_the_study_sets_itself_are_refused(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _study(tmp_path, **keys)


@pytest.mark.parametrize(
    ("variant", "field"), [("training.batch_size", "students.*.training.batch_size"), (*2 * ["training.batch_size"],)]
)
def test_a_variant_and_a_grid_of_one_key_are_refused(tmp_path: Path, variant: str, field: str) -> None:
    with pytest.raises(ValueError, match=rf"variants\.small\.{variant} and grid\..* both set .*training\.batch_size"):
        _study(tmp_path, variants={"small": {variant: 8}}, grid={field: [16, 32]})


def test_a_grid_of_whole_data_holds_out_rows_where_settings_are_chosen(tmp_path: Path) -> None:
    study = _study(tmp_path, grid={"data": [{"task": "sst2"}, {"task": "cola"}]}, choose={"fields": RATES})
    assert {cell.recipe.data.heldout_share for cell in study.choosing().cells()} == {0.1}


def test_the_budget_of_a_choice_may_replace_the_lengths_of_the_study(tmp_path: Path) -> None:
    grid = {"students.*.training.steps": [5, 9]}
    study = _study(tmp_path, grid=grid, choose={"fields": RATES, "budget": {"steps": 3}})
    recipe = study.choosing().cells()[0].recipe
    assert {recipe.training_of(each).steps for each in recipe.students} == {3}


def test_fields_that_have_an_effect_are_no_fields_of_the_study(tmp_path: Path) -> None:
    budget = {"block_forwards": 1000}
    assert _study(tmp_path, grid={"teacher.training.steps": [5, 9]}, budget=budget).cells()
    assert _study(tmp_path, grid={"teacher.seed": [0, 1], "students.*.training.steps": [5, 9]}).cells()
