"""Measurements of models with different tokenizers, against stock tokenizers, stock models and plain hooks."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment, resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from causalkd.verification.measures.attribution_maps import AttributionBatch
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.mismatches import mismatches
from causalkd.verification.measures.monitor import LIVE, LiveAccuracy
from causalkd.verification.measures.task_metrics import choices, evaluate
from causalkd.verification.search.cka import linear_cka
from causalkd.verification.search.search import search
from tests.objectives.steps import slow
from tests.objectives.two_tokenizers import POLICIES, SOURCES, Pair, pair_of

MODELS = [("bert", "gpt2"), ("gpt_neox", "bert")]
TASKS: list[Task] = ["classification", "token_classification"]


def _sites(pair: Pair) -> ResolvedAlignment:
    declared = (SitePair(name="first", teacher=(Site(layer=1),), student=(Site(layer=0),)),)
    alignment = Alignment(name="tests", positions=POLICIES["first"], pairs=declared)
    return resolve(alignment, pair.teacher, pair.student)


def _items(pair: Pair, model: HookedModel, logits: Tensor) -> Tensor:
    """The predictions, of rows or of the first token of every word that both models have."""
    if model.task == "classification":
        return logits.argmax(-1)
    return torch.stack([logits[place].argmax() for place in pair.places(model)])


def _answers(pair: Pair) -> tuple[list[Tensor], list[Tensor]]:
    """What both models predict on base, and after the intervention, by plain hooks."""
    plain, after = [], []
    for model, layer, pairs in zip(pair[:2], (1, 0), pair.positions(SOURCES), strict=True):
        assert isinstance(model, HookedModel)
        base, source = pair.stock(model), pair.stock(model, SOURCES)
        with torch.no_grad():
            plain.append(_items(pair, model, model.model(**base).logits))
            after.append(_items(pair, model, slow(model, layer, base, source, pairs).logits))
    return plain, after


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("teacher", "student"), MODELS)
def test_accuracies_are_those_of_plain_hooks(task, teacher, student) -> None:
    pair = pair_of(task, teacher, student)
    plain, after = _answers(pair)
    changed = plain[0] != after[0]
    rows = measure(pair.teacher, pair.student, _sites(pair), [pair.batch()], component=None, baselines=()).rows("m", 0)
    (row,) = (row for row in rows if row.baseline == "measured")
    if task == "classification":
        assert row.iia == pytest.approx((after[0] == after[1]).double().mean().item(), abs=1e-12)
        assert row.effective_pairs == int(changed.sum())
    live = LiveAccuracy(pair.teacher, pair.student, _sites(pair), [pair.batch()], 1)(1)
    if changed.any():
        expected = (after[0] == after[1])[changed].double().mean().item()
        assert live[f"{LIVE}first"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_each_model_predicts_from_its_own_tokens(task) -> None:
    pair = pair_of(task)
    plain, _ = _answers(pair)
    metric = "accuracy" if task == "classification" else "entity_f1"
    taught = choices(pair.teacher, [pair.batch()])
    assert torch.equal(taught[0], plain[0]) and torch.equal(choices(pair.student, [pair.batch()])[0], plain[1])
    found = evaluate(pair.student, [pair.batch()], metric, taught, pair.examples.examples)
    assert found.agreement == pytest.approx((plain[0] == plain[1]).double().mean().item(), abs=1e-12)


def _departing() -> Pair:
    """A student that always predicts the same class, and a teacher whose prediction becomes the other one."""
    for draw in range(50):
        pair = pair_of("classification", draw=draw)
        pair.student.model.get_submodule("score").weight.data.zero_()  # type: ignore[operator]
        plain, after = _answers(pair)
        if ((plain[0] == 0) & (after[0] == 1)).any():
            return pair
    raise AssertionError("no intervention changes a prediction")


def test_departures_are_shown_in_the_teachers_tokens() -> None:
    pair = _departing()
    tokenizer = pair.teacher.tokenizer
    assert tokenizer is not None
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in pair.stock(pair.teacher)["input_ids"]]
    found = mismatches(pair.teacher, pair.student, _sites(pair), [pair.batch()], name="m", seed=0)[0]
    row = texts.index(found.base)
    ids, source = (pair.stock(pair.teacher, order)["input_ids"][row] for order in (range(4), SOURCES))
    assert found.source == texts[SOURCES[row]]
    tokens = [tokenizer.convert_ids_to_tokens([ids[b], source[s]]) for b, s in pair.positions(SOURCES)[0][row]]
    assert [list(both) for both in found.intervened] == tokens and tokens


def test_what_compares_token_by_token_is_refused() -> None:
    pair = pair_of("classification")
    batch = pair.batch()
    with pytest.raises(ValueError, match="linear CKA compares models token by token"):
        linear_cka(pair.teacher, pair.student, [batch])
    with pytest.raises(ValueError, match="a search compares models token by token"):
        search(pair.teacher, pair.student, POLICIES["first"], [batch], [batch])
    with pytest.raises(ValueError, match="an agreement of maps compares models token by token"):
        AttributionBatch.of(pair.teacher, batch)
    with pytest.raises(ValueError, match="in Python `read_twice` makes such examples"):
        measure(pair.teacher, pair.student, _sites(pair), [replace(batch, student=None)], component=None, baselines=())
