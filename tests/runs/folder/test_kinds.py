"""What a folder holds instead of a run with students is said, and what can be done with it."""

from pathlib import Path

import pytest

from causalkd.runs.folder.kinds import other_kind, read_report


def _write(folder: Path, *names: str, recipe: str = "") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    if recipe:
        (folder / "recipe.yaml").write_text(recipe)
    return folder


def test_every_kind_is_named_with_the_command_for_it(tmp_path: Path) -> None:
    run = _write(tmp_path / "run", "report.json", recipe="{teacher: {}, model: x}")
    tuned = _write(tmp_path / "tuned", "finetune.json", recipe="{model: x}")
    half = _write(tmp_path / "half", "data.json", recipe="{model: x}")
    line = _write(tmp_path / "line", "pipeline.yaml", "results.json", "distill/a/recipe.yaml")
    begun = _write(tmp_path / "begun", "pipeline.yaml")
    study = _write(tmp_path / "study", "study.yaml")
    aside = _write(tmp_path / "aside", "replaced/report.json", "replaced/recipe.yaml")
    assert other_kind(run) is None
    for path, message in (
        (tuned, f"`causalkd report {tuned}` shows its scores, and `causalkd evaluate {tuned} --task TASK`"),
        (half, "holds an unfinished fine-tuning; continue it with the same `causalkd finetune` call"),
        (line, f"`causalkd report {line}` shows its table. Its runs are {line / 'distill' / 'a'}"),
        (begun, "holds an unfinished pipeline; continue it with the same `causalkd pipeline` call"),
        (study, f"`causalkd study {study / 'study.yaml'} --table` shows its table"),
        (aside, f"the earlier run lies in {aside / 'replaced'}. The same call begins the new run; `causalkd ver"),
        (run / "report.json", f"is a file; name the folder of a run: {run}"),
        (tmp_path / "nowhere", "does not hold a run (there is no recipe.yaml); `causalkd distill RECIPE` makes one"),
    ):
        assert message in str(other_kind(path))


def test_a_report_is_not_sought_where_none_can_be(tmp_path: Path) -> None:
    tuned = _write(tmp_path / "tuned", "finetune.json", recipe="{model: x}")
    with pytest.raises(ValueError, match="which has no students to verify"):
        read_report(tuned)
    run = _write(tmp_path / "run", "data.json", recipe="{teacher: {}}")
    with pytest.raises(ValueError, match=r"there is no report at .*`causalkd verify RUN` writes one"):
        read_report(run)
