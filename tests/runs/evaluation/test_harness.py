"""The harness' options: checked before a model is loaded, and handed on as the harness calls them."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from causalkd.runs.evaluation.harness import HarnessOptions, harness_faults, harness_scores
from tests.data.tiny_tokenizers import gpt2_like


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What a stand-in for the harness is asked; it knows two tasks."""
    calls: list[dict] = []
    harness, tasks = ModuleType("lm_eval"), ModuleType("lm_eval.tasks")
    harness.simple_evaluate = lambda **given: calls.append(given) or {"results": {"bbh": {"acc": 0.5}}}
    harness.__spec__ = sys.__spec__
    tasks.TaskManager = lambda: SimpleNamespace(all_tasks=["mmlu", "bbh"])
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
    assert harness_faults(["mmlu"], HarnessOptions(5, "auto")) == [] == harness_faults([], wrong)


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
