"""The recipes of the six methods: on the planted stories, and on tiny models of the hub's architectures."""

import json
from pathlib import Path

import pytest

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.runs.distill import distill
from causalkd.runs.setup.preflight import preflight
from tests.data.tiny_tokenizers import llama_like
from tests.shrunk import OF_HUB_MODELS, shrunk
from tests.tiny import tiny

ARCHITECTURES = {"atkd-opt": "opt", "atkd-pythia": "gpt_neox", "atkd-llama": "llama"}
pytestmark = pytest.mark.trains
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


SIX = ["sft", "forward-kl", "reverse-kl", "gkd", "atkd", "atkd-diito"]
ELEVEN = [
    *("sft", "seqkd", "forward-kl", "reverse-kl", "f-distill", "imitkd", "gkd", "dkd"),
    *("atkd", "reverse-atkd", "atkd-gkd"),
]


def test_six_methods_on_the_planted_stories_take_equal_steps() -> None:
    """As long as one another, with the data and the teacher of the quickstart; five seeds."""
    shipped, quickstart = Recipe.load("planted-lm-methods"), Recipe.load("quickstart-lm")
    assert [part.name for part in shipped.students] == SIX and len(shipped.seeds) == 5
    assert {shipped.training_of(part).steps for part in shipped.students} == {shipped.training.steps}
    assert (shipped.data, shipped.teacher, shipped.alignment) == (
        quickstart.data, quickstart.teacher, quickstart.alignment
    )  # fmt: skip
    preflight(shrunk("planted-lm-methods", Path("nothing-is-written")))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_student_of_the_papers_setting_takes_a_step(name: str, tmp_path: Path, instructions: Path) -> None:
    """They differ in their models only, so a rehearsal: the teacher's step and each student's, with what it writes."""
    teacher, student = (saved(ARCHITECTURES[name], tmp_path / str(layers), layers) for layers in (2, 1))
    changes = [f"teacher.model={teacher}", *(f"students.{each}.model={student}" for each in ELEVEN)]
    recipe = shrunk(name, tmp_path / "run", *changes)
    assert [part.name for part in recipe.students] == ELEVEN
    prepared, _ = preflight(recipe)
    data = prepared.data
    assert len(data.train.examples) == 8 and "Alpaca" in data.train.origin


@pytest.mark.parametrize("name", [name for name in OF_HUB_MODELS if name.startswith("atkd") and "b" in name])
def test_a_larger_teacher_is_all_that_a_larger_recipe_changes(name: str) -> None:
    larger, base = Recipe.load(name), Recipe.load(name.rpartition("-")[0])
    assert (larger.students, larger.training, larger.data) == (base.students, base.training, base.data)
    assert larger.teacher.model != base.teacher.model and larger.teacher.dtype == "bfloat16"
    rows = [part.training.batch_size * part.training.gradient_accumulation for part in (larger.teacher, base.teacher)]
    assert rows == [64, 64]


def test_smollm2_runs_and_is_verified(tmp_path: Path, instructions: Path) -> None:
    changes = [f"teacher.model={saved('llama', tmp_path / 'teacher', 2)}", "alignment=middle"]
    changes += [f"students.{student}.layers=[0]" for student in SIX]
    report = distill(shrunk("smollm2", tmp_path / "run", *changes))
    assert [student.name for student in report.students] == SIX
    assert report.teacher.metric == "perplexity"
    assert all(student.task_metric is not None and student.task_metric > 1 for student in report.students)
