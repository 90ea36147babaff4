import dataclasses

import pytest
from huggingface_hub import ModelCard

from causalkd.reporting.headline import headline
from causalkd.reporting.model_card import _PIPELINES, model_card
from causalkd.task_types import TASK_TYPES
from causalkd.verification.results.rows import TaskScoreRow
from tests.example_report import example_report, full_report


@pytest.fixture(scope="module")
def report():
    return example_report()


def test_a_card_is_about_its_student_and_says_what_the_run_found(report):
    report = dataclasses.replace(report, task_scores=(TaskScoreRow("diito", 1, 0.982, 0.97, 0.99, 1872),))
    card = model_card(report, report.students[4])
    assert "Held-out accuracy on 1,872 rows: 0.982" in card
    asked = dataclasses.replace(report, teacher=dataclasses.replace(report.teacher, task="question_answering"))
    assert "on 1,872 questions: 0.982" in model_card(asked, report.students[4])
    assert "# diito, seed 1" in card and "diito (0.25)" in card and "diito: 0.888" in card and "\nkd: " not in card
    assert "0.982" in card and f"The run: {headline(report)}" in card
    assert "the other sites and unseen pairs are the evidence" in card and "policy: segments" in card


def test_the_hub_reads_its_metadata(report):
    student = report.students[4]
    data = ModelCard(model_card(report, student, "google-bert/bert-base-uncased", ["nyu-mll/glue"])).data
    assert (data.base_model, data.datasets) == ("google-bert/bert-base-uncased", ["nyu-mll/glue"])
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert data.tags == ["causal-distillation"] and data.license is None
    (row,) = (
        row for row in report.interchange
        if row.aligned and row.baseline == "measured" and (row.student, row.seed) == ("diito", 1)
    )  # fmt: skip
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {
        "accuracy": 0.982,
        "agreement": 0.978,
        "effective IIA (premise: teacher layer 1, student layer 0, block_output)": round(row.iia_effective, 4),
    }


def test_a_pair_of_several_layers_is_named_by_all_of_them():
    report = full_report()
    card = model_card(report, report.students[0])
    names = {result.metric_type for result in ModelCard(card).data.eval_results}
    assert "effective IIA (full_0: teacher layers 0 and 1, student layer 0, block_output)" in names
    alone = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    card = model_card(alone, alone.students[0])
    assert "; unseen pairs are the evidence." in card and "other sites" not in card


def test_an_accuracy_of_few_pairs_is_none_of_its_results(report):
    """Whoever reads the metadata alone reads no warning."""
    rows = tuple(dataclasses.replace(row, effective_pairs=29) for row in report.interchange)
    card = model_card(dataclasses.replace(report, interchange=rows), report.students[0])
    assert {result.metric_type for result in ModelCard(card).data.eval_results} == {"accuracy", "agreement"}


def test_what_is_not_known_is_left_out(report):
    unknown = dataclasses.replace(report, interchange=(), differences=())
    student = dataclasses.replace(report.students[0], task_metric=None, agreement=None)
    data = ModelCard(model_card(dataclasses.replace(unknown, students=(student,)), student)).data
    assert data.base_model is None and data.datasets is None and data.eval_results is None


def test_names_cannot_break_out_of_the_metadata(report):
    name = "x: y\n---\n# out"
    rows = tuple(dataclasses.replace(row, pair=name) for row in report.interchange)
    card = model_card(dataclasses.replace(report, interchange=rows, differences=()), report.students[0], name, [name])
    assert ModelCard(card).data.base_model == name


def test_every_task_has_a_pipeline():
    assert set(_PIPELINES) == set(TASK_TYPES)
