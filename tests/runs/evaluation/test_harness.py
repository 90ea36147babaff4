"""The harness' options: checked before a model is loaded, and handed on as the harness calls them."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from causalkd.runs.evaluation.harness import HarnessOptions, _manager, harness_faults, harness_scores
from tests.data.tiny_tokenizers import gpt2_like


class _Manager:
    """The part of lm-evaluation-harness 0.4.13's TaskManager that is used."""

    def __init__(self, include_path: list[str] | None):
        self.task_index = {"mmlu": SimpleNamespace(yaml_path="x"), "bbh": SimpleNamespace(yaml_path="y")}
        for folder in include_path or ():
            self.task_index["mini"] = SimpleNamespace(yaml_path=Path(folder) / "mini.yaml")
        self.all_tasks = list(self.task_index)

    def load(self, names: list[str]) -> None:
        if names == ["mmlu"]:
            raise ConnectionError("the hub is\n  away")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What a stand-in for the harness is asked; it knows two tasks, and one in each folder that it is told to read."""
    calls: list[dict] = []
    harness, tasks = ModuleType("lm_eval"), ModuleType("lm_eval.tasks")
    _manager.cache_clear()
    harness.simple_evaluate = lambda **given: calls.append(given) or {"results": {"bbh": {"acc": 0.5}}}
    harness.__spec__ = sys.__spec__
    tasks.TaskManager = _Manager
    monkeypatch.setitem(sys.modules, "lm_eval", harness)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", tasks)
    return calls


def test_every_fault_is_listed_at_once(asked: list[dict]) -> None:
    wrong = HarnessOptions(shots=-1, batch_size="many", chat_template=True)
    faults = harness_faults(["mmluu", "bbh"], wrong, gpt2_like())
    assert [fault.split(";")[0].split(",")[0] for fault in faults] == [
        "shots is -1",
        "harness_batch is 'many'",
        "a chat template is asked for",
        "the harness has no task 'mmluu'",
    ]
    assert harness_faults(["bbh"], HarnessOptions(5, "auto")) == [] == harness_faults([], wrong)


def test_rows_that_cannot_be_loaded_are_told_before_a_model_is_measured(asked: list[dict]) -> None:
    (fault,) = harness_faults(["mmlu"], HarnessOptions())
    assert "task 'mmlu' cannot be loaded (ConnectionError: the hub is away); load them once" in fault


def test_a_task_may_be_a_file(asked: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mini.yaml", "other.yaml"):
        (tmp_path / name).write_text("task: mini")
    monkeypatch.chdir(tmp_path)
    assert harness_faults(["mini.yaml", "bbh"], HarnessOptions()) == []
    harness_scores("here", ["mini.yaml", "bbh"], HarnessOptions(), None)
    assert asked[0]["tasks"] == ["mini", "bbh"] and isinstance(asked[0]["task_manager"], _Manager)
    assert harness_faults(["other.yaml"], HarnessOptions()) == [
        "other.yaml holds no task or group; give it the key `task`"
    ]
    assert "there is no file none.yaml" in harness_faults(["none.yaml"], HarnessOptions())[0]


def test_without_the_harness_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalkd.runs.evaluation.harness.find_spec", lambda name: None)
    (fault,) = harness_faults(["mmlu"], HarnessOptions())
    assert "install the extra: pip install 'causalkd[harness]'" in fault


def test_options_reach_the_harness_with_the_weights_of_a_packaged_name(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no name of ours."""
    monkeypatch.setattr("causalkd.models.checkpoints.packaged_folder", lambda name: f"/weights/{name}")
    found = harness_scores("smollm2-135m", ["bbh"], HarnessOptions(3, "8", chat_template=True), 7)
    assert found == {"bbh": {"acc": 0.5}}
    (call,) = asked
    assert call["model_args"] == {"pretrained": "/weights/smollm2-135m"} and call["tasks"] == ["bbh"]
    assert (call["num_fewshot"], call["batch_size"], call["apply_chat_template"], call["limit"]) == (3, 8, True, 7)
    harness_scores("here", ["bbh"], HarnessOptions(), None)
    assert (asked[1]["num_fewshot"], asked[1]["batch_size"], asked[1]["apply_chat_template"]) == (None, 1, False)
    harness_scores("here", ["bbh"], HarnessOptions(batch_size="auto"), None)
    assert asked[2]["batch_size"] == "auto"
    assert harness_scores("here", [], HarnessOptions(), None) == {} and len(asked) == 3
