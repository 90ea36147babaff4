"""An evaluation has a name of its own, and none replaces another."""

import json
from pathlib import Path
from typing import Any

import pytest

from causalkd.files.whole_files import write_whole
from causalkd.runs.evaluation.stored import StaysTheSame, evaluation_folder, files_for, model_name, origin_of

FACTS: dict[str, Any] = {"task": "own", "split": "test", "data": {"given": {"path": "a.csv", "labels": ("no", "yes")}}}


def _held(folder: Path, facts: dict[str, Any]) -> None:
    (folder / "kd-own-test.json").write_text(json.dumps({"model": "kd", **facts, "metrics": {}}))


def test_a_measurement_of_the_same_is_replaced_and_another_one_refused(tmp_path: Path) -> None:
    wanted = {"kd": tmp_path / "kd-own-test"}
    assert files_for(["kd"], FACTS, tmp_path, overwrite=False) == wanted
    _held(tmp_path, FACTS)
    assert files_for(["kd"], FACTS, tmp_path, overwrite=False) == wanted
    for other in ({"data": {"given": "mrpc"}}, {"of": "/runs/b"}):
        with pytest.raises(
            ValueError, match=f"kd-own-test.json holds another measurement.*: `{next(iter(other))}` is "
        ):
            files_for(["teacher", "kd"], {**FACTS, **other}, tmp_path, overwrite=False)
        assert files_for(["kd"], {**FACTS, **other}, tmp_path, overwrite=True) == wanted
    _held(tmp_path, {})  # as earlier versions, which do not say of what
    with pytest.raises(ValueError, match="`task` is None there and own here"):
        files_for(["kd"], FACTS, tmp_path, overwrite=False)
    (tmp_path / "kd-own-test.json").write_text("{")
    with pytest.raises(ValueError, match=r"kd-own-test.json is damaged: .*; delete it"):
        files_for(["kd"], FACTS, tmp_path, overwrite=False)


def test_names_end_in_what_was_asked_for(tmp_path: Path) -> None:
    facts = {**FACTS, "limit": 4, "max_length": 8, "stride": 3}
    (file,) = files_for(["kd"], facts, tmp_path, overwrite=False).values()
    assert file.name == "kd-own-test-limit4-length8-stride3"
    (file,) = files_for(["kd"], {**FACTS, "one_mask_a_row": True}, tmp_path, overwrite=False).values()
    assert file.name == "kd-own-test-masks"


def test_a_model_has_a_folder_or_a_name(tmp_path: Path) -> None:
    assert evaluation_folder(tmp_path, None) == tmp_path / "evaluations" and origin_of(tmp_path) == str(tmp_path)
    assert evaluation_folder("someone/bert", None) == Path("evaluations/someone--bert")
    assert evaluation_folder(tmp_path, "out") == Path("out") and origin_of("someone/bert") == "someone/bert"


def test_a_checkpoint_is_named_by_its_folder_wherever_it_is_called_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kd-seed0" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "kd-seed0" / "below")
    for given in ("..", "../", Path("../.."), "../../kd-seed0", "org/kd-seed0"):
        assert model_name(given) == (tmp_path.name if given == Path("../..") else "kd-seed0")
    assert model_name(".") == model_name("") == "below"


def test_nothing_is_written_of_a_run_that_was_begun_anew_meanwhile(tmp_path: Path) -> None:
    StaysTheSame(tmp_path / "a-checkpoint").check()
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("name: x")
    begun = StaysTheSame(run)
    begun.check()
    run.rename(tmp_path / "aside")
    with pytest.raises(ValueError, match=r"the run in .*run was begun anew while it was measured"):
        begun.check()
    run.mkdir()
    write_whole(run / "recipe.yaml", "name: x")
    with pytest.raises(ValueError, match="measure it again when it is finished"):
        begun.check()
