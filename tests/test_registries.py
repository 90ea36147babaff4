"""What comes in kinds is declared in one place: kinds from outside work in a run and are in schema, report and page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from analysis.pages.report_page import render
from causalkd.data.synthetic.registry import GeneratedTask
from causalkd.data.tasks.registry import TASKS, TaskSpec, register_task, unregister_task
from causalkd.losses.divergence_table import (
    DIVERGENCES,
    DivergenceEntry,
    register_divergence,
    unregister_divergence,
)
from causalkd.models import architectures
from causalkd.models.architectures import Architecture, register_architecture
from causalkd.objectives.base import Requirements, StepContext
from causalkd.recipe.objective_entry import ObjectiveEntry
from causalkd.recipe.objectives import (
    OBJECTIVES,
    ObjectivesPart,
    register_objective,
    unregister_objective,
)
from causalkd.recipe.part import Part
from causalkd.recipe.recipe import Recipe
from causalkd.registries import KeyOf, add, imported, remove
from causalkd.reporting.markdown import as_markdown
from causalkd.runs.distill import distill
from causalkd.training.callbacks import read_rows
from causalkd.verification.results.baselines import BASELINES, Baseline, register_baseline
from tests.architectures.toy import ToyConfig, ToyForCausalLM
from tests.data.tiny_tokenizers import gpt2_like


class ToySettings(Part):
    """Settings of an objective that is declared here alone."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""
    power: int = Field(default=2, ge=1)
    """Which power of the difference is the term."""


class ToyObjective:
    def __init__(self, student: object, *, power: int) -> None:
        assert student is not None
        self._power = power

    def requirements(self) -> Requirements:
        return Requirements()

    def __call__(self, run: StepContext) -> Tensor:
        _, teacher = run.teacher_outputs()
        return (run.student_run.item_logits - teacher.item_logits).abs().pow(self._power).mean()


class ToyGenerator:
    """Rows of which every token is the one before it and one more."""

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return gpt2_like()

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        starts = np.random.default_rng((seed, split == "train")).integers(10, 200, n).tolist()
        rows = [list(range(start, start + 6)) for start in starts]
        return [{"input_ids": row, "label": [-100, *row[1:]], "segments": {"text": (0, 6)}} for row in rows]


def toy_divergence(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    return ((student - teacher) / temperature).square().mean()


TOY_BASELINE = Baseline(
    "toy_baseline",
    "toy title",
    "a prediction that never looks at the source",
    explains=True,
    predict=lambda found, seed: found.plain,
)
RECIPE = """
name: toy
data: {task: toy_task, train_limit: 16, eval_limit: 12}
teacher:
  config: {model_type: toy, hidden_size: 8, num_hidden_layers: 2, max_position_embeddings: 16}
  training: {steps: 1, batch_size: 8}
alignment: middle
students:
  - name: kd
    layers: [0, 1]
    objectives:
      response_kd: {divergence: toy_divergence}
      toy_objective: {weight: 0.5, power: 3}
      diito: {}
training: {steps: 2, batch_size: 8, logging_steps: 1}
verification: {pairs: 12, batch_size: 6}
"""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that a user's own module would register, which is there for a test only."""
    monkeypatch.setattr(architectures, "_ARCHITECTURES", dict(architectures._ARCHITECTURES))
    AutoConfig.register("toy", ToyConfig, exist_ok=True)
    AutoModelForCausalLM.register(ToyConfig, ToyForCausalLM, exist_ok=True)
    register_architecture("toy", Architecture("tokens", "layers", "mixer.out", "down"))
    made = GeneratedTask(ToyGenerator, "the toy task")
    register_task(TaskSpec("toy_task", "causal_lm", (), (), "accuracy", generated=made))
    register_divergence("toy_divergence", DivergenceEntry(toy_divergence))
    register_objective("toy_objective", ObjectiveEntry(ToySettings, ToyObjective, takes=("student",)))
    register_baseline(TOY_BASELINE)
    try:
        yield
    finally:
        del BASELINES[TOY_BASELINE.key]
        unregister_objective("toy_objective")
        unregister_divergence("toy_divergence")
        unregister_task("toy_task")


def test_kinds_from_outside_are_in_schema_report_and_page(registered: None, tmp_path: Path) -> None:
    parts = Recipe.model_json_schema()["$defs"]
    assert "toy_objective" in parts["ObjectivesPart"]["properties"]
    assert parts["ToySettings"]["properties"]["power"]["description"] == "Which power of the difference is the term."
    assert "toy_divergence" in parts["ResponseKDPart"]["properties"]["divergence"]["enum"]
    assert "toy_task" in parts["DataPart"]["properties"]["task"]["anyOf"][0]["enum"]

    recipe = Recipe.load(RECIPE, [f"output={tmp_path / 'run'}"])
    assert Recipe.load(recipe.to_yaml()) == recipe
    torch.manual_seed(0)
    report = distill(recipe, page=render)
    (student,) = report.students
    assert list(student.objectives) == ["response_kd", "diito", "toy_objective"]  # as in the table
    assert student.objectives["toy_objective"] == 0.5
    assert {"term/response_kd", "term/toy_objective"} <= read_rows(tmp_path / "run" / "metrics.jsonl")[-1].keys()
    assert {row.teacher_layer for row in report.interchange} == {0, 1}
    found = [row for row in report.interchange if row.baseline == "toy_baseline"]
    plain = [row for row in report.interchange if row.baseline == "no_intervention"]
    assert found and [row.iia for row in found] == [row.iia for row in plain]

    page, text = (tmp_path / "run" / "report.html").read_text(), as_markdown(report)
    assert "toy_objective (0.5)" in page and "toy title" in page and TOY_BASELINE.description in page
    assert "toy title" in text


def test_without_their_entries_nothing_knows_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        Recipe.load(RECIPE)
    lines = str(refused.value).splitlines()
    assert any("divergence: 'toy_divergence' is not valid; " in line for line in lines), lines
    assert any("objectives.toy_objective: unknown key" in line for line in lines), lines
    for table, key in ((OBJECTIVES, "toy_objective"), (DIVERGENCES, "toy_divergence"), (TASKS, "toy_task")):
        assert key not in table
    assert "toy_objective" not in Recipe.model_json_schema()["$defs"]["ObjectivesPart"]["properties"]


def test_what_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="already an entry 'diito' in the table of objectives"):
        register_objective("diito", ObjectiveEntry(ToySettings, ToyObjective))
    with pytest.raises(ValueError, match="'a-b' cannot be the key of an objective; choose letters"):
        register_objective("a-b", ObjectiveEntry(ToySettings, ToyObjective))
    with pytest.raises(ValueError, match="the settings of objective 'toy' have no `weight`"):
        register_objective("toy", ObjectiveEntry(Part, ToyObjective))
    with pytest.raises(ValueError, match="already an entry 'forward_kl' in the table of divergences"):
        register_divergence("forward_kl", DivergenceEntry(toy_divergence))
    with pytest.raises(ValueError, match="task 'toy' has no rows"):
        register_task(TaskSpec("toy", "causal_lm", (), (), "accuracy"))
    with pytest.raises(ValueError, match="no entry 'forward' in the table of divergences; did you"):
        unregister_divergence("forward")
    assert list(ObjectivesPart.model_fields) == list(OBJECTIVES)


def test_a_key_counts_as_soon_as_its_table_has_it() -> None:
    table: dict[str, int] = {"one": 1}

    class Model(BaseModel):
        key: Annotated[str, KeyOf(table)]

    with pytest.raises(ValidationError, match="'two' is not valid; choose one of one"):
        Model(key="two")
    add(table, "numbers", "two", 2)
    assert Model(key="two").key == "two" and Model.model_json_schema()["properties"]["key"]["enum"] == ["one", "two"]
    remove(table, "numbers", "two")
    with pytest.raises(ValidationError):
        Model(key="two")


def test_an_entry_is_imported_when_it_is_asked_for() -> None:
    assert imported("causalkd.registries:add") is add and imported(add) is add
