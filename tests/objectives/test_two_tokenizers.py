"""Objectives between models of different tokenizers, against stock tokenizers, stock models and plain hooks."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.batch import IGNORED
from causalkd.losses.decoupled import dkd
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.task_types import Task
from tests.objectives.steps import assert_same_term, slow
from tests.objectives.two_tokenizers import POLICIES, SOURCES, Pair, pair_of, shared_pair, trained
from tests.oracles import decoupled as oracle
from tests.oracles.interchange import Pairs

MODELS = [("bert", "gpt2"), ("gpt_neox", "bert"), ("gpt2", "gpt_neox")]
ROW_TASKS: list[Task] = ["classification", "regression", "multi_label"]
TASKS: list[Task] = [*ROW_TASKS, "token_classification"]


def _predicted(pair: Pair, model: HookedModel, logits: Tensor) -> Tensor:
    """The predictions that are compared: rows, or the first token of every word that both models have."""
    if model.task != "token_classification":
        return logits
    return torch.stack([logits[place] for place in pair.places(model)])


def _distance(task: Task, student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    if task == "regression":
        return (student - teacher).square().sum(-1).mean()
    if task == "multi_label":
        student, teacher = (
            torch.stack([torch.zeros_like(each), each], -1).flatten(0, 1) for each in (student, teacher)
        )
    one, other = ((each / temperature).log_softmax(-1) for each in (student, teacher))
    return temperature**2 * (other.exp() * (other - one)).sum(-1).mean()


def _stock(pair: Pair, model: HookedModel) -> Tensor:
    return _predicted(pair, model, model.model(**pair.stock(model)).logits)


def _tokens(task: Task) -> dict[str, str]:
    return {"tokens": "labelled"} if task == "token_classification" else {}


def _diito(pair: Pair, **options) -> DIITO:
    declared = (SitePair(name="first", teacher=(Site(layer=1),), student=(Site(layer=0),)),)
    alignment = Alignment(name="tests", positions=POLICIES["first"], pairs=declared)
    resolved = resolve(alignment, pair.teacher, pair.student)
    return DIITO(resolved, pair.teacher, pair.student, **_tokens(pair.student.task), **options)


def _counterfactual(pair: Pair, model: HookedModel, layer: int, sources: list[int], pairs: Pairs) -> Tensor:
    base, source = pair.stock(model), pair.stock(model, sources)
    return _predicted(pair, model, slow(model, layer, base, source, pairs).logits)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("teacher", "student"), MODELS)
def test_each_model_learns_from_its_own_tokens(task, teacher, student, tmp_path: Path) -> None:
    pair = shared_pair(task, teacher, student)
    batch = pair.batch().tensors()
    trainer = trained(pair, ResponseKD(**_tokens(task)), str(tmp_path))
    with torch.no_grad():
        taught = _stock(pair, pair.teacher)
    expected = _distance(task, _stock(pair, pair.student), taught)
    assert_same_term(pair.student, trainer.compute_loss(pair.student.model, batch), expected)


@pytest.mark.parametrize("task", TASKS)
def test_the_task_loss_is_that_of_the_student_alone(task, tmp_path: Path) -> None:
    pair = shared_pair(task)
    trainer = trained(pair, TaskLoss(), str(tmp_path))
    mine, logits = trainer.compute_loss(pair.student.model, pair.batch().tensors()), _stock(pair, pair.student)
    labels = [row["label"] for row in pair.examples.examples]
    if task == "token_classification":
        expected = functional.cross_entropy(logits, torch.tensor([n for row in labels for n in row if n != IGNORED]))
    elif task == "classification":
        expected = functional.cross_entropy(logits, torch.tensor(labels))
    elif task == "regression":
        expected = (logits[:, 0] - torch.tensor(labels)).square().mean()
    else:
        expected = functional.binary_cross_entropy_with_logits(logits, torch.tensor(labels).double())
    torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("teacher", "student"), MODELS)
@pytest.mark.parametrize("inside", [False, True])
def test_both_are_intervened_on_at_the_same_characters(task, teacher, student, inside, tmp_path: Path) -> None:
    pair = shared_pair(task, teacher, student)
    batch = pair.batch(inside=inside)
    sources = SOURCES if batch.source_rows is None else batch.source_rows.tolist()
    trainer = trained(pair, _diito(pair), str(tmp_path))
    kept, own = pair.positions(sources)
    assert any(kept)
    with torch.no_grad():
        taught = _counterfactual(pair, pair.teacher, 1, sources, kept)
    expected = _distance(task, _counterfactual(pair, pair.student, 0, sources, own), taught)
    assert_same_term(pair.student, trainer.compute_loss(pair.student.model, batch.tensors()), expected)


@pytest.mark.parametrize("inside", [False, True])
def test_base_and_source_reversed(inside, tmp_path: Path) -> None:
    pair = shared_pair("classification")
    batch = pair.batch(inside=inside)
    sources = SOURCES if batch.source_rows is None else batch.source_rows.tolist()
    terms = []
    kept, own = pair.positions(sources)
    for order, other, turn in ((list(range(4)), sources, 1), (sources, list(range(4)), -1)):
        runs = []
        for model, layer, pairs in ((pair.teacher, 1, kept), (pair.student, 0, own)):
            turned: Pairs = [[each[::turn] for each in row] for row in pairs]
            runs.append(slow(model, layer, pair.stock(model, order), pair.stock(model, other), turned).logits)
        terms.append(_distance("classification", runs[1], runs[0].detach()))
    trainer = trained(pair, _diito(pair, crossway=True), str(tmp_path))
    mine = trainer.compute_loss(pair.student.model, batch.tensors())
    assert_same_term(pair.student, mine, sum(terms) / 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["classification", "token_classification"])
def test_decoupled_terms_are_those_of_the_predictions_alone(task, tmp_path: Path) -> None:
    pair = shared_pair(task)
    with torch.no_grad():
        taught = _stock(pair, pair.teacher)
    labels = [row["label"] for row in pair.examples.examples]
    gold = torch.tensor([n for row in labels for n in row if n != IGNORED] if task != "classification" else labels)
    batch, own = pair.batch().tensors(), _stock(pair, pair.student)
    made = trained(pair, DKD(2.0, 0.3, 0.7), str(tmp_path)).compute_loss(pair.student.model, batch)
    assert_same_term(pair.student, made, 4 * dkd(own, taught, gold, None, 2.0, 0.3, 0.7))
    made = trained(pair, ATKD(easy_weight=0.3), str(tmp_path)).compute_loss(pair.student.model, batch)
    assert_same_term(pair.student, made, oracle.atkd(own, taught, gold, 0.3))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda pair, sites: HiddenKD(pair.teacher, pair.student), "one compares the models token by token"),
        (lambda pair, sites: ADKD(pair.teacher, pair.student), "one compares the models token by token"),
        (
            lambda pair, sites: DIITOHidden(sites, pair.teacher, pair.student),
            "one compares the models token by token",
        ),
    ],
    ids=["hidden_kd", "adkd", "diito_hidden"],
)
def test_what_compares_token_by_token_is_refused(make, said, tmp_path: Path) -> None:
    pair = shared_pair("classification")
    with pytest.raises(ValueError, match=said):
        trained(pair, make(pair, _diito(pair).alignment), str(tmp_path))


def test_taggers_are_compared_at_words_alone(tmp_path: Path) -> None:
    pair = shared_pair("token_classification")
    with pytest.raises(ValueError, match="share only the labelled ones, of which each word has one; set its `tokens`"):
        trained(pair, ResponseKD(), str(tmp_path))
    with pytest.raises(ValueError, match="diito's crossway predicts at the tokens of sources"):
        trained(pair, _diito(pair, crossway=True), str(tmp_path))


def test_models_of_different_tokenizers_need_batches_that_both_read(tmp_path: Path) -> None:
    pair = pair_of("classification")
    with pytest.raises(ValueError, match="in Python `read_twice` makes such examples"):
        trained(pair, ResponseKD(), str(tmp_path), student_pad_id=None)
    pair.teacher.role = "student"
    with pytest.raises(ValueError, match="the tokens of its role, and the teacher was loaded as a student"):
        check_pair(pair.teacher, pair.student, same_tokens=False)
