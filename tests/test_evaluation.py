"""Evaluating a run of causal LMs: its file, its responses, what it refuses."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from causalkd.evaluation import evaluate_run
from causalkd.run_folder import RunFolder
from causalkd.runs import verify
from tests.shrunk import FinishedRun


@pytest.fixture(scope="module")
def stories(quickstart_lm: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A copy of the shrunk run of the planted stories."""
    copied = shutil.copytree(quickstart_lm.folder.path, tmp_path_factory.mktemp("evaluated") / "run")
    return quickstart_lm._replace(folder=RunFolder(copied))


def test_a_run_is_evaluated(stories: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    asked: list[dict] = []
    harness = ModuleType("lm_eval")

    def simple_evaluate(**given):
        asked.append(given)
        return {"results": {"bbh": {"acc": 0.5, "alias": "bbh"}}}

    harness.simple_evaluate = simple_evaluate
    harness.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "lm_eval", harness)
    rows = evaluate_run(stories.folder.path, limit=6, harness=["bbh"], tell=told.append)
    assert json.loads((stories.folder.path / "evaluation.json").read_text()) == rows
    models = ["teacher", "kd-seed0", "atkd-seed0", "diito-seed0"]
    assert [row["model"] for row in rows if "texts" in row] == models
    for row in rows:
        if "texts" in row:
            assert row["texts"] == "planted_lm" and row["tokens"] == 24 and row["perplexity"] > row["per_byte"] > 1
    assert next(row for row in rows if "harness" in row) == {"model": "teacher", "harness": "bbh", "acc": 0.5}
    assert asked[0]["model_args"] == {"pretrained": str(stories.folder.teacher)} and asked[0]["limit"] == 6
    assert len(told) == len(rows) and told[0].startswith("model teacher  texts planted_lm  perplexity ")
    verify(stories.folder.path)  # a folder with an evaluation is still a run


def test_the_folder_may_still_be_overwritten(stories: FinishedRun, tmp_path: Path) -> None:
    copied = RunFolder(Path(shutil.copytree(stories.folder.path, tmp_path / "copied")))
    (copied.path / "evaluation.json").write_text("[]")
    (copied.path / "responses").mkdir(exist_ok=True)
    copied.clear()
    assert not copied.holds_anything()


def test_prompts_are_answered_and_written_down(stories: FinishedRun, tmp_path: Path) -> None:
    """The planted vocabulary knows no instruction's words, so what is answered means nothing; the form is real."""
    file = tmp_path / "tiny_eval.jsonl"
    rows = [{"instruction": "ann", "output": "now ann dock ."}, {"instruction": "ann " * 40, "output": "late"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found, *_) = [
        row
        for row in evaluate_run(stories.folder.path, prompts=[file], limit=2, max_tokens=12)
        if row.get("prompts") == "tiny_eval"
    ]
    assert (found["answered"], found["too_long"]) == (1, 1) and 0 <= found["rouge_l"] <= 1
    (line,) = (stories.folder.path / "responses" / "teacher-tiny_eval.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"instruction", "input", "reference", "response"}
    with pytest.raises(ValueError, match="leaves room for 39 tokens"):
        evaluate_run(stories.folder.path, prompts=[file], max_tokens=39)
    with pytest.raises(ValueError, match=r"there is no file .*nowhere"):
        evaluate_run(stories.folder.path, prompts=[tmp_path / "nowhere.jsonl"])


def test_what_cannot_be_evaluated_is_refused(
    quickstart: FinishedRun, stories: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="holds a run on classification; only causal LMs"):
        evaluate_run(quickstart.folder.path)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setattr("causalkd.evaluation.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install the extra: pip install 'causalkd\[harness\]'"):
        evaluate_run(stories.folder.path, harness=["mmlu"])
