import pytest
import torch

from causalkd.attribution.faithfulness import faithfulness
from causalkd.attribution.maps import attribution_map
from causalkd.attribution.targets import Views
from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from causalkd.verification.measures.attribution_maps import AttributionBatch, MapSettings, measure_maps
from causalkd.verification.measures.map_scores import text_agreement
from tests.data.tiny_tokenizers import bert_like
from tests.held_out import examples
from tests.oracles.attribution import one_by_one
from tests.tiny import PAD, tiny

HOW = MapSettings(steps=2, baseline="mean", portions=2, random_orders=1, seed=0)


def _model(architecture: str, task: Task, layers: int = 2) -> HookedModel:
    return HookedModel(tiny(architecture, task, layers=layers), task=task, role="teacher")


def _batch(task: Task, side: str = "right", times: int = 1) -> Batch:
    """Three rows, each so many times in one."""
    rows = [
        {key: each * times if isinstance(each, list) else each for key, each in row.items()}
        for row in examples(task, 3)
    ]
    return Batch(pad(rows, PAD, side), pad_labels(rows, side))


def test_a_classifier_is_asked_about_every_class() -> None:
    teacher, batch = _model("bert", "classification"), _batch("classification")
    question = AttributionBatch.of(teacher, batch)
    assert torch.equal(question.views.choice, torch.arange(3)[:, None].expand(3, 3))
    assert torch.equal(question.predicted_view, teacher.run(batch.inputs).logits.argmax(-1))


@pytest.mark.parametrize(
    ("architecture", "task", "side"), [("bert", "masked_lm", "right"), ("gpt2", "causal_lm", "left")]
)
def test_a_language_model_is_asked_where_a_label_is_last_predicted(architecture: str, task: Task, side: str) -> None:
    teacher, batch = _model(architecture, task), _batch(task, side)
    labels = batch.labels
    assert labels is not None
    labels[1] = -100  # a row without any: its last token is asked about
    question, logits = AttributionBatch.of(teacher, batch), teacher.run(batch.inputs).logits
    for row in range(3):
        counted = (labels[row] != -100) if row != 1 else batch.counted[row]
        last = int(counted.nonzero().max()) - (task == "causal_lm" and row != 1)
        assert question.views.position is not None and int(question.views.position[row]) == last
        assert int(question.views.choice[0, row]) == int(logits[row, last].argmax())


def test_without_a_label_the_last_token_of_the_text_is_asked_about() -> None:
    teacher, ids = _model("bert", "masked_lm"), [[2, 9, 8, 7, 3], [2, 9, 4, 7, 3], [2, 3]]
    teacher.tokenizer = bert_like()
    rows = [{"input_ids": row, "label": [-100] * len(row)} for row in ids]
    rows[1]["label"] = [-100, -100, 8, -100, -100]
    question = AttributionBatch.of(teacher, Batch(pad(rows, 0), pad_labels(rows)))
    assert question.views.position is not None and question.views.position.tolist() == [3, 2, 1]


def test_two_positions_are_no_view() -> None:
    with pytest.raises(
        ValueError,
        match="a question_answering head predicts no single class or token of a row; maps explain classification",
    ):
        AttributionBatch.of(_model("bert", "question_answering"), _batch("question_answering"))


def test_maps_at_every_depth_and_faithfulness_of_what_the_teacher_predicts() -> None:
    teacher, student = _model("bert", "classification", layers=2), _model("bert", "classification", layers=1)
    questions = [AttributionBatch.of(teacher, _batch("classification")) for _ in range(2)]
    found = measure_maps(student, questions, HOW)
    assert [each.made.hook_point for each in found.maps] == ["blocks.0.hook_in", "blocks.0.hook_out"]
    assert found.maps[0].scores.shape[:2] == (3, 6) and found.faithfulness.upper.shape == (1, 6)
    inputs, asked = questions[0].batch.inputs, questions[0].predicted_view
    own = attribution_map(student, inputs, questions[0].views, steps=2, baseline="mean")
    assert torch.equal(found.maps[0].scores[:, :3], own.scores)
    scores = own.scores[asked, torch.arange(3)][None]
    alone = faithfulness(
        student, inputs, Views(asked[None]), scores,
        generator=torch.Generator().manual_seed(0), portions=2, random_orders=1,
    )  # fmt: skip
    torch.testing.assert_close(found.faithfulness.comprehensiveness[:, :3], alone.comprehensiveness)


@pytest.mark.parametrize(
    ("architecture", "task", "side"),
    [
        ("bert", "classification", "right"),
        ("gpt2", "causal_lm", "left"),
        ("roberta", "regression", "right"),
    ],
)
def test_batches_give_what_one_forward_after_the_other_gives(architecture: str, task: Task, side: str) -> None:
    model = HookedModel(tiny(architecture, task, layers=2, dtype=torch.float64), task=task, role="teacher")
    batch = _batch(task, side, times=2)  # of more tokens than those whose every order is tried
    questions, how = [AttributionBatch.of(model, batch)] * 2, MapSettings(5, "mean", 3, 2, 0)
    found, (scores, faithful) = measure_maps(model, questions, how), one_by_one(model, questions, how)
    for own, expected in zip(found.maps, scores, strict=True):
        torch.testing.assert_close(own.scores, expected, rtol=1e-12, atol=1e-12)
    for name in ("comprehensiveness", "sufficiency", "random", "lower", "upper"):
        own, expected = getattr(found.faithfulness, name), getattr(faithful, name)
        torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(
    ("architecture", "task"), [("roberta", "regression"), ("opt", "causal_lm"), ("bert", "masked_lm")]
)
def test_every_head_that_predicts_classes_or_tokens(architecture: str, task: Task) -> None:
    teacher = _model(architecture, task)
    questions = [AttributionBatch.of(teacher, _batch(task))]
    found = measure_maps(teacher, questions, HOW)
    assert found.maps[0].made.target == ("logit" if task == "regression" else "probability")
    assert text_agreement(found.maps[0], found.maps[0]) == pytest.approx(1)
    assert found.faithfulness.upper.isfinite().any()
