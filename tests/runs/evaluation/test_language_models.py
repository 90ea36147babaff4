"""Evaluating a run of causal LMs: its file, its responses, what it refuses."""

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from causalkd.data.tasks.instructions import Instruction
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.sections import DataPart
from causalkd.runs.distill import verify
from causalkd.runs.evaluation.harness import _manager
from causalkd.runs.evaluation.language_models import _fitting, _Prompts, _prompts, _texts, evaluate_run
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.measures.text_quality import Prediction
from tests.data.tiny_tokenizers import gpt2_like
from tests.shrunk import FinishedRun


@pytest.fixture(scope="module")
def stories(quickstart_lm: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A copy of the shrunk run of the planted stories."""
    copied = shutil.copytree(quickstart_lm.folder.path, tmp_path_factory.mktemp("evaluated") / "run")
    return quickstart_lm._replace(folder=RunFolder(copied))


def _harness_tasks(*names: str) -> ModuleType:
    """A harness that knows some tasks."""
    tasks = ModuleType("lm_eval.tasks")
    known = SimpleNamespace(all_tasks=list(names), load=lambda names: None)
    tasks.TaskManager = lambda include_path: known
    _manager.cache_clear()
    return tasks


def test_names_are_checked_before_the_first_model_is_measured(
    stories: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = ModuleType("lm_eval")
    harness.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "lm_eval", harness)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", _harness_tasks("mmlu", "bbh"))
    monkeypatch.setattr(
        "causalkd.runs.evaluation.language_models._measurements", lambda *_: pytest.fail("a model was measured")
    )
    with pytest.raises(ValueError) as caught:
        evaluate_run(stories.folder.path, texts=["sst2", "wikitext_masked_lm"], harness=["mmluu", "bbh"])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("texts of the task 'sst2', which is classification, are not predicted token by token")
    assert lines[1].startswith("texts of the task 'wikitext_masked_lm'") and len(lines) == 3
    assert lines[2] == "the harness has no task 'mmluu'; did you mean mmlu?"


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
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", _harness_tasks("bbh"))
    rows = evaluate_run(stories.folder.path, limit=6, harness=["bbh"], tell=told.append)
    assert json.loads((stories.folder.path / "evaluation.json").read_text()) == rows
    asked_with = {"limit": 6, "shots": None, "chat_template": False}
    models = ["teacher", "kd-seed0", "atkd-seed0", "diito-seed0"]
    assert [row["model"] for row in rows if "texts" in row] == models
    for row in rows:
        if "texts" in row:
            assert row["texts"] == "planted_lm" and row["tokens"] == 24 and row["perplexity"] > row["per_byte"] > 1
    assert all(len(row["weights"]) == 64 for row in rows)
    assert {key: it for key, it in next(row for row in rows if "harness" in row).items() if key != "weights"} == {
        "model": "teacher",
        "harness": "bbh",
        **asked_with,
        "acc": 0.5,
    }
    assert asked[0]["model_args"] == {"pretrained": str(stories.folder.teacher)} and asked[0]["limit"] == 6
    assert len(told) == len(rows) and told[0].startswith("model teacher  texts planted_lm  limit 6  perplexity ")
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
    responses = stories.folder.path / "responses" / "teacher-tiny_eval-limit2-tokens12.jsonl"
    (line,) = responses.read_text().splitlines()
    assert json.loads(line).keys() == {"instruction", "input", "reference", "response"}
    with pytest.raises(ValueError, match="leaves room for 39 tokens"):
        evaluate_run(stories.folder.path, prompts=[file], max_tokens=39)


def test_a_model_of_conversations_is_prompted_in_its_template(tmp_path: Path) -> None:
    tokenizer = gpt2_like()
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    file = tmp_path / "eval.jsonl"
    file.write_text('{"instruction": "the fox", "output": "the dog"}')
    (prompts,) = _prompts(DataPart(task=None, path="mine.jsonl", kind="chat"), tokenizer, [file], None)
    assert tokenizer.decode(prompts.ids[0]) == "<user>the fox</s>"


def test_all_models_answer_the_prompts_that_fit_every_one() -> None:
    asked = [Instruction(str(size), "", "") for size in (3, 6, 9)]
    prompts = _Prompts("few", asked, [[5] * len(row.instruction) * int(row.instruction) for row in asked])
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 9}
    made = [GPT2LMHeadModel(GPT2Config(n_positions=positions, **sizes)) for positions in (12, 10, 64)]
    found = _fitting([HookedModel(each, task="causal_lm", role="student") for each in made], prompts, 4)
    assert (found.given, found.too_long) == (asked[:2], 1)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("", "has no rows; give a file with an instruction"),
        ('{"instruction": null, "output": "a"}', r"row 1, column 'instruction': None \(NoneType\), where a text"),
        ('{"instruction": "a", "output": ["x"]}', r"row 1, column 'output': \['x'\] \(list\), where a text must"),
    ],
)
def test_prompts_and_references_must_be_texts(tmp_path: Path, rows: str, fault: str) -> None:
    file = tmp_path / "eval.jsonl"
    file.write_text(rows)
    with pytest.raises(ValueError, match=fault):
        _prompts(DataPart(task="planted_lm"), gpt2_like(), [file], None)


def test_a_file_is_looked_for_among_the_data_too(
    stories: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "instruct").mkdir()
    (tmp_path / "instruct" / "few_eval.jsonl").write_text('{"instruction": "ann", "output": "now"}')
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    kept, told = (stories.folder.path / "evaluation.json").read_text(), []
    wrong = ["few_eval.jsonl", "nowhere.jsonl", str(tmp_path / "nor_here.jsonl")]
    with pytest.raises(ValueError, match=r"no file nowhere.jsonl, .*nor_here.jsonl, neither here nor in the folder"):
        evaluate_run(stories.folder.path, prompts=wrong, tell=told.append)
    twice = ["few_eval.jsonl", str(tmp_path / "few_eval.jsonl")]
    shutil.copy(tmp_path / "instruct" / "few_eval.jsonl", tmp_path)
    with pytest.raises(ValueError, match=r"instruct/few_eval.jsonl, .*/few_eval.jsonl have the same name, which"):
        evaluate_run(stories.folder.path, prompts=twice, tell=told.append)
    with pytest.raises(ValueError, match="there is no task 'nowhere'"):
        evaluate_run(stories.folder.path, texts=["nowhere"], tell=told.append)
    assert not told and (stories.folder.path / "evaluation.json").read_text() == kept
    found = evaluate_run(stories.folder.path, prompts=["few_eval.jsonl"], limit=2, max_tokens=2)
    assert [row["answered"] for row in found if row.get("prompts") == "few_eval"] == [1, 1, 1, 1]


def test_further_texts_stand_beside_the_runs_own_in_its_form(
    stories: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "instruct").mkdir()
    row = '{"instruction": "ann dock", "input": "", "output": "now"}\n'
    (tmp_path / "instruct" / "self-inst_eval.jsonl").write_text(3 * row)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    run = TrainedRun.load(stories.folder.path)
    run.data.tokenizer.chat_template = "{{ messages[0]['content'] }} ."
    part = run.recipe.data.model_copy(update={"task": "instruct", "prompt": "chat"})
    run = replace(run, recipe=run.recipe.model_copy(update={"data": part}))
    found = _texts(run, ["instruct"], limit=2)
    assert list(found) == ["instruct", "instruct/test"]
    (own,), (instructions,) = (texts.batches for texts in found.values())
    assert [row["bytes"] for row in found["instruct/test"].examples] == [3, 3]
    assert own.inputs["input_ids"][0].tolist() == run.data.heldout.examples[0]["input_ids"]
    words = run.data.tokenizer.batch_decode(instructions.inputs["input_ids"], skip_special_tokens=True)
    assert words == 2 * ["ann dock . now"]


def test_what_is_measured_is_written_before_the_next_model(
    stories: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [Prediction(1e6, 1, 10_000)]

    def predict_once(*_: object) -> Prediction:
        if not left:
            raise ValueError("a late fault")
        return left.pop()

    monkeypatch.setattr("causalkd.runs.evaluation.language_models.predict_texts", predict_once)
    told: list[str] = []
    (stories.folder.path / "evaluation.json").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="a late fault"):
        evaluate_run(stories.folder.path, tell=told.append)
    (row,) = json.loads((stories.folder.path / "evaluation.json").read_text())
    assert row["model"] == "teacher" and row["perplexity"] is None and row["per_byte"] == pytest.approx(math.exp(100))
    assert "perplexity inf" in told[0]


def test_what_cannot_be_evaluated_is_refused(
    quickstart: FinishedRun, stories: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ValueError,
        match="holds a run on classification; this command evaluates only causal LMs: measure it with --task",
    ):
        evaluate_run(quickstart.folder.path)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setattr("causalkd.runs.evaluation.harness.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install the extra: pip install 'causalkd\[harness\]'"):
        evaluate_run(stories.folder.path, harness=["mmlu"])
