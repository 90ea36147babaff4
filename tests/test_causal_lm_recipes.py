"""The recipes of hub language models, run on tiny models of the same architecture and a few instructions."""

import json
from pathlib import Path

import pytest

from causalkd.models.hooked import HookedModel
from causalkd.runs import distill
from tests.data.tiny_tokenizers import llama_like
from tests.shrunk import OF_HUB_MODELS, shrunk
from tests.tiny import tiny

ARCHITECTURES = {"atkd-opt": "opt", "atkd-pythia": "gpt_neox", "atkd-llama": "llama", "smollm2": "llama"}
TEMPLATE = "{% for message in messages %}{{ message['content'] }} </s>{% endfor %}"


def tokenizer():
    made = llama_like()
    made = type(made)(tokenizer_object=made.backend_tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.chat_template = TEMPLATE
    made.model_max_length = 64
    return made


def saved(architecture: str, folder: Path, layers: int) -> Path:
    stock = tiny(architecture, "causal_lm", layers=1)
    config = stock.config
    config.num_hidden_layers, config.max_position_embeddings, config.vocab_size = layers, 80, len(tokenizer())
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 2
    HookedModel(type(stock)(config), tokenizer(), task="causal_lm", role="student").save_pretrained(folder)
    return folder


@pytest.fixture
def instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data" / "instruct"
    folder.mkdir(parents=True)
    words = "fox dog cat mat bird".split()
    rows = [{"instruction": f"who ran ? {a}", "output": f"the {b} ran"} for a in words for b in words]
    for name in ("alpaca_en_demo", "dolly_eval"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    return folder


@pytest.mark.parametrize("name", OF_HUB_MODELS)
def test_a_recipe_runs_and_is_verified(name: str, tmp_path: Path, instructions: Path) -> None:
    architecture = ARCHITECTURES[name]
    changes = [f"teacher.model={saved(architecture, tmp_path / 'teacher', 2)}"]
    students = ["sft", "forward-kl", "reverse-kl", "gkd", "atkd"]
    if name == "smollm2":
        students.append("atkd-diito")
        changes += [f"students.{student}.layers=[0, 1]" for student in students]
        changes.append("alignment=middle")
    else:
        small = saved(architecture, tmp_path / "student", 1)
        changes += [f"students.{student}.model={small}" for student in students]
    report = distill(shrunk(name, tmp_path / "run", *changes))
    assert [student.name for student in report.students] == students
    assert report.teacher.metric == "perplexity"
    assert all(student.task_metric is not None and student.task_metric > 1 for student in report.students)
