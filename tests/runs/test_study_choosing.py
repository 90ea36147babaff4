"""Settings are chosen on the training examples, and what a study can show is written before the rest is run."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.recipe.study import Study
from causalkd.runs.costs.step_costs import StepCost
from causalkd.runs.setup import data as set_up
from causalkd.runs.study import read_study, run_study
from causalkd.runs.study_cells import StudyFolder
from tests.small_study import VARIANTS, begun, kill_while_it_runs, small_study, tables_of, worker_of

RATES = [1e-5, 1e-2]
CHOOSE = {"fields": {"training.learning_rate": RATES}, "share": 0.25, "budget": {"steps": 4}}


def _study(folder: Path, **changes: object) -> Study:
    return small_study(folder, **{"choose": CHOOSE, "power": {"pilot_seeds": 2}, "seeds": [0, 1, 2], **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with a choice and a pilot, run without interruption."""
    study = _study(tmp_path_factory.mktemp("choosing"))
    run_study(study)
    return study


def test_the_held_out_rows_are_not_read_while_settings_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, read, load = _study(tmp_path), [], set_up.load_examples

    def of_training(task: object, split: str, *rest: object, **options: object) -> object:
        read.append(split)
        assert split == "train", "the rows that the study holds out are not to be read"
        return load(task, split, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(set_up, "load_examples", of_training)
    table = run_study(study.choosing())
    assert not table.failures and set(read) == {"train"}
    for cell in study.choosing().cells():
        data = json.loads((cell.recipe.folder / "data.json").read_text())
        assert (data["train"]["rows"], data["heldout"]["rows"]) == (30, 8)  # 10 of 40, of which `eval_limit` takes 8
        assert data["heldout"]["origin"].startswith("the training split, ")
    with pytest.raises(AssertionError, match="not to be read"):
        set_up.build_data(study.cells()[0].recipe.data, study.cells()[0].recipe.teacher)


def test_the_choice_is_written_down_and_used(whole: Study) -> None:
    table = read_study(whole)
    rows = read_study(whole.choosing()).rows
    tried = {(row.method, row.setting["students.*.training.learning_rate"]): row for row in rows}
    assert not table.failures and [choice.method for choice in table.chosen] == ["kd", "diito"]
    for choice in table.chosen:
        scores = [tried[choice.method, rate].mean("accuracy") for rate in RATES]
        best = RATES[scores.index(max(scores))]  # type: ignore[type-var]
        assert choice.fields == {"training.learning_rate": best}
        assert [each.counted for each in choice.tried] == [8, 8]
        folders = [path for path in (whole.folder / "cells").iterdir() if path.name.startswith(f"{choice.method}-seed")]
        assert len(folders) == 3
        recipes = [yaml.safe_load((path / "recipe.yaml").read_text()) for path in folders]
        assert all(float(recipe["students"][0]["training"]["learning_rate"]) == best for recipe in recipes)
    assert "## Settings chosen" in (whole.folder / "table.md").read_text()
    assert json.loads((whole.folder / "table.json").read_text())["chosen"][0]["measure"] == "accuracy"


def test_two_workers_try_no_setting_and_run_no_cell_twice(whole: Study, tmp_path: Path) -> None:
    study = _study(tmp_path)
    workers = [worker_of(study) for _ in range(2)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert begun(study.choosing()) == {cell.name: 1 for cell in study.choosing().cells()}
    assert set(begun(study).values()) == {1} and len(begun(study)) == 6
    assert tables_of(study) == tables_of(whole) and tables_of(study.choosing()) == tables_of(whole.choosing())


@pytest.mark.slow
def test_kills_change_neither_the_choice_nor_the_table(whole: Study, tmp_path: Path) -> None:
    study, seconds = _study(tmp_path), 0.5
    for _ in range(10):
        kill_while_it_runs(study, seconds)
        seconds *= 1.3
    run_study(study)
    assert tables_of(study) == tables_of(whole) and tables_of(study.choosing()) == tables_of(whole.choosing())


def test_a_method_without_a_choice_is_reported(tmp_path: Path) -> None:
    beyond = {**VARIANTS["kd"], "data.max_length": 17}  # more than there are
    choose = {**CHOOSE, "fields": {"training.learning_rate": RATES[:1]}}
    study = _study(tmp_path, variants={"kd": VARIANTS["kd"], "beyond": beyond}, seeds=[0], choose=choose, power=None)
    assert set(read_study(study).failures.values()) == {"its settings are not chosen yet"}
    table = run_study(study)
    assert {row.method: (row.seeds, row.failed) for row in table.rows} == {"kd": ((0,), ()), "beyond": ((), (0,))}
    assert "no setting of beyond has a result of every seed" in next(iter(table.failures.values()))
    assert "max_length 17 is more" in (study.folder / "choosing" / "table.md").read_text()


def test_what_can_be_shown_is_written_before_the_other_cells_begin(tmp_path: Path) -> None:
    study, seen = _study(tmp_path, choose=None), []

    def tell(line: str) -> None:
        if "seed2" in line and line.endswith("begins"):
            seen.append(json.loads((study.folder / "table.json").read_text())["planned"])

    first = run_study(study, only_power=True, tell=tell)
    assert not seen and {row.seeds for row in first.rows} == {(0, 1)} and first.planned
    assert {each.seeds for each in first.planned} == {3} and {each.pilot_seeds for each in first.planned} == {2}
    assert "## Smallest differences that can be shown" in (study.folder / "table.md").read_text()
    last = run_study(study, tell=tell)
    assert len(seen) == 2 and all(seen) and last.planned == first.planned
    planned = {(each.method, each.measure): each.smallest for each in last.planned}
    assert {(each.method, each.measure): each.planned for each in last.differences} == planned


def test_the_command_stops_when_it_is_calculated_what_can_be_shown(tmp_path: Path) -> None:
    file = str(tmp_path / "study.yaml")
    small_study(tmp_path)
    refused = CliRunner().invoke(app, ["study", file, "--power"])
    assert refused.exit_code != 0 and "has no `power`" in refused.output
    both = CliRunner().invoke(app, ["study", file, "--table", "--power"])
    assert both.exit_code == 2 and "--table runs nothing" in both.output
    study = small_study(tmp_path, power={"sd": {"accuracy": 0.02}})
    told = CliRunner().invoke(app, ["study", file, "--power"])
    assert told.exit_code == 0 and "Smallest differences" in told.stdout and not StudyFolder(study.folder).log.exists()
    assert "Smallest differences" in (study.folder / "study.html").read_text()


def test_equal_time_gives_as_many_steps_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((1.0, 2.0))
    costs = (StepCost(64.0, each, 1e6) for each in seconds)
    monkeypatch.setattr("causalkd.runs.study.step_costs", lambda recipe: {"student": next(costs)})
    study = small_study(tmp_path, seeds=[0], budget={"minutes": 0.1})
    table = run_study(study)
    assert not table.failures
    assert {row.method: row.costs["steps"] for row in table.rows} == {"kd": (6,), "diito": (3,)}
    assert table.budget == "Equal time: 0.1 minutes for each student."


def test_the_cost_of_a_step_is_that_of_the_recipe_as_it_is_now(tmp_path: Path) -> None:
    """Twice the rows a step are half the steps, also in a folder where the other recipe's cost is known."""
    for size, steps in ((4, 10), (8, 5)):
        one = {"kd": {**VARIANTS["kd"], "training.batch_size": size}}
        study = small_study(tmp_path, variants=one, seeds=[0], budget={"block_forwards": 320})
        assert run_study(study).rows[0].costs == {"block_forwards": (320.0,), "steps": (steps,)}


def test_a_cell_whose_cost_cannot_be_measured_is_reported(tmp_path: Path) -> None:
    beyond = {**VARIANTS["kd"], "data.max_length": 17}
    study = small_study(
        tmp_path, variants={"kd": VARIANTS["kd"], "beyond": beyond}, seeds=[0], budget={"block_forwards": 200}
    )
    table = run_study(study)
    assert {row.method: (row.seeds, row.failed) for row in table.rows} == {"kd": ((0,), ()), "beyond": ((), (0,))}
    assert "max_length 17 is more" in next(iter(table.failures.values()))
