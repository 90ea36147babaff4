"""The table of baselines is made of what the runs wrote, and every task's recipe can be read."""

import json
from pathlib import Path

import pytest

from analysis.scripts.finetuned_minilm import BASELINES, PAGE, main, run, table, write_table
from causalkd.data.tasks.registry import TASKS
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.verification.measures.metrics import REPORTED_BESIDE


def _found(metric: str, value: float | None) -> dict:
    scores = {"metrics": {metric: value, "accuracy": 0.5}, "steps": 7, "seconds": 3.6}
    split = {"origin": "glue/X/dev.tsv", "examples": 9, "predictions": 8}
    return {"scores": [scores], "split": split, "learning_rate": 3e-5}


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.task)
def test_every_recipe_can_be_read_and_measures_what_is_expected(baseline, tmp_path: Path) -> None:
    recipe = FinetuneRecipe.parse(baseline.recipe(tmp_path, 1e-4))
    assert recipe.folder == tmp_path / baseline.task and recipe.data.task == baseline.task
    trial = FinetuneRecipe.parse(baseline.trial(tmp_path, 1e-4))
    assert (recipe.data.heldout_share, trial.data.heldout_share) == (None, 0.1)
    assert trial.training == recipe.training and trial.folder == tmp_path / f"choice/{baseline.task}-0.0001"
    metric = TASKS[baseline.task].metric
    assert baseline.metric in (metric, *REPORTED_BESIDE.get(metric, ()))


def test_a_row_says_what_was_reached_and_whether_it_is_enough() -> None:
    rows = table({"mrpc": _found("f1", 0.9), "rte": _found("accuracy", 0.5), "squad": _found("answer_f1", None)})
    by_task = {row.split(" | ")[0].strip("| "): row for row in rows.splitlines()}
    assert by_task["mrpc"] == "| mrpc | 9 of glue/X/dev.tsv | f1 | 0.900 | 0.87 | accuracy 0.500 | 3e-05 | 4 | 7 | 4 |"
    assert "| 0.500 (below) | 0.58 |" in by_task["rte"]
    assert "| 8 of glue/X/dev.tsv | answer_f1 | – (below) |" in by_task["squad"]
    assert by_task["cola"] == "| cola | – | matthews_correlation | not run | 0.35 | | | | | |"


def test_the_page_keeps_its_text_and_gets_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        PAGE.read_text(encoding="utf-8").partition("<!--")[0] + "<!--" + PAGE.read_text().partition("<!--")[2]
    )
    (tmp_path / "runs/mrpc").mkdir(parents=True)
    (tmp_path / "runs/mrpc/finetune.json").write_text(json.dumps(_found("f1", 0.9)))
    (tmp_path / "runs/mrpc/recipe.yaml").write_text("training: {learning_rate: 0.00003}")
    write_table(tmp_path / "runs", page)
    once = page.read_text()
    assert once.startswith("# Baselines") and "| mrpc | 9 of" in once
    monkeypatch.setattr("analysis.scripts.finetuned_minilm.PAGE", page)
    write_table(tmp_path / "runs", page)
    assert page.read_text() == once
    page.write_text("# Nothing\n")
    with pytest.raises(ValueError, match="has no line '<!-- the table"):
        write_table(tmp_path / "runs", page)


def test_finished_tasks_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for baseline in BASELINES:
        (tmp_path / baseline.task).mkdir()
        (tmp_path / baseline.task / "finetune.json").write_text("{}")
    ran: list[object] = []

    def starts(recipe: object, **_: object) -> None:
        ran.append(recipe)
        raise InterruptedError

    monkeypatch.setattr("causalkd.runs.finetune.finetune", starts)
    run(tmp_path)
    main(["run", "--folder", str(tmp_path), "--task", "mrpc"])
    assert ran == []
    (tmp_path / "mrpc" / "finetune.json").unlink()
    with pytest.raises(InterruptedError):
        main(["run", "--folder", str(tmp_path), "--task", "mrpc"])
    assert len(ran) == 1


def test_the_learning_rate_is_chosen_on_training_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = {3e-5: None, 1e-4: 0.4, 3e-4: 0.4}
    ran: list[FinetuneRecipe] = []

    def finetuned(recipe: FinetuneRecipe, **_: object) -> None:
        ran.append(recipe)
        recipe.folder.mkdir(parents=True)
        rate = recipe.training.learning_rate
        found = {"scores": [{"metrics": {"accuracy": reached[rate], "matthews_correlation": reached[rate]}}]}
        (recipe.folder / "finetune.json").write_text(json.dumps(found))

    monkeypatch.setattr("causalkd.runs.finetune.finetune", finetuned)
    monkeypatch.setattr("causalkd.reporting.finetuning.finetuning_lines", lambda _: ())
    run(tmp_path, ["cola", "qnli"])
    assert [(each.data.task, each.training.learning_rate, each.data.heldout_share) for each in ran] == [
        *(("cola", rate, 0.1) for rate in reached),
        ("cola", 1e-4, None),
        ("qnli", 1e-4, None),
    ]
    (tmp_path / "cola/finetune.json").unlink()
    (tmp_path / "cola").rmdir()
    run(tmp_path, ["cola"])
    assert len(ran) == 6 and ran[-1].data.heldout_share is None
