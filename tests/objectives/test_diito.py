"""DIITO against its slow reading: three whole forwards per model with plain hooks, then the loss."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from causalkd.data.batch import IGNORED
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import student_from_teacher
from causalkd.objectives.counterfactual_terms import counterfactuals
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.task_types import Task
from tests.alignment.interventions import PAIRS, positions
from tests.objectives.steps import (
    BASE,
    CROSSED,
    ROWS,
    SOURCE,
    aligned,
    assert_same_term,
    batch_of,
    gradients,
    labels_of,
    models,
    slow,
    step_of,
)
from tests.oracles.interchange import Pairs

TASKS: list[tuple[Task, str, str]] = [
    ("masked_lm", "bert", "distilbert"),
    ("causal_lm", "gpt2", "opt"),
    ("classification", "roberta", "bert"),
]


def _oracle(
    teacher: HookedModel,
    student: HookedModel,
    base: dict[str, Tensor],
    source: dict[str, Tensor],
    pairs: Pairs,
    layers: tuple[int, int] = (1, 0),
    temperature: float = 2.0,
    labels: Tensor | None = None,
) -> Tensor:
    with torch.no_grad():
        t = slow(teacher, layers[0], base, source, pairs).logits
    s = slow(student, layers[1], base, source, pairs).logits
    if s.dim() == 3:
        counted = base["attention_mask"].bool() if labels is None else labels != IGNORED
        s, t = s[counted], t[counted]
    p, q = (each.div(temperature).softmax(-1) for each in (t, s))
    return temperature**2 * (p * (p / q).log()).sum(-1).mean()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("task", "of_teacher", "of_student"), TASKS)
def test_value_and_gradient_equal_plain_hooks(task: Task, of_teacher: str, of_student: str, inside: bool) -> None:
    (teacher, student), batch = models(task, of_teacher, of_student), batch_of(task, inside)
    source = {name: tensor[ROWS] for name, tensor in BASE.items()} if inside else SOURCE
    objective = DIITO(aligned(teacher, student), teacher, student, temperature=3.0)
    mine = objective(step_of(objective, teacher, student, batch))
    assert_same_term(student, mine, _oracle(teacher, student, BASE, source, PAIRS, temperature=3.0))


def test_the_gradient_flows_through_the_source_run() -> None:
    """A word that only the source has is learned about."""
    teacher, student = models()
    objective = DIITO(aligned(teacher, student), teacher, student)
    loss = objective(step_of(objective, teacher, student, batch_of()))
    (gradient,) = torch.autograd.grad(loss, student.model.get_input_embeddings().weight)
    only = sorted(set(SOURCE["input_ids"].flatten().tolist()) - set(BASE["input_ids"].flatten().tolist()))
    tied = objective(step_of(objective, teacher, student, batch_of(inside=True)))
    (without,) = torch.autograd.grad(tied, student.model.get_input_embeddings().weight)
    # The head is tied to the embeddings, so every word has some gradient; the source's path adds to it.
    assert (gradient[only] - without[only]).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("inside", [False, True])
def test_crossway_is_the_mean_of_both_directions(inside: bool) -> None:
    (teacher, student), batch = models(), batch_of(inside=inside)
    source = {name: tensor[ROWS] for name, tensor in BASE.items()} if inside else SOURCE
    objective = DIITO(aligned(teacher, student), teacher, student, crossway=True)
    expected = [
        _oracle(teacher, student, BASE, source, PAIRS),
        _oracle(teacher, student, source, BASE, CROSSED),
    ]
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), sum(expected) / 2)


def test_crossway_at_labelled_tokens_is_at_those_of_separate_sources() -> None:
    (teacher, student), batch = models(), replace(batch_of(), source_labels=labels_of("masked_lm", SOURCE))
    objective = DIITO(aligned(teacher, student), teacher, student, tokens="labelled", crossway=True)
    expected = [
        _oracle(teacher, student, BASE, SOURCE, PAIRS, labels=batch.labels),
        _oracle(teacher, student, SOURCE, BASE, CROSSED, labels=batch.source_labels),
    ]
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), sum(expected) / 2)


def test_all_pairs_are_averaged_or_one_is_drawn() -> None:
    teacher, student = models()
    resolved = aligned(teacher, student, ("second", 2, 1))
    batch = batch_of(names=("first", "second"))
    values = [_oracle(teacher, student, BASE, SOURCE, PAIRS, layers).item() for layers in ((1, 0), (2, 1))]
    every = DIITO(resolved, teacher, student, pairs="all")
    assert every(step_of(every, teacher, student, batch)).item() == pytest.approx(sum(values) / 2)
    drawn = []
    for seed in (0, 0, 1):
        objective = DIITO(resolved, teacher, student, seed=seed)
        drawn.append([objective(step_of(objective, teacher, student, batch, step)).item() for step in range(8)])
    assert drawn[0] == drawn[1] != drawn[2]
    for value in drawn[0] + drawn[2]:
        assert min(abs(value - each) for each in values) < 1e-9
    assert len({round(value, 6) for value in drawn[0]}) == 2


def test_objectives_share_the_counterfactuals() -> None:
    """The cosine term beside DIITO runs no further block, whatever the step draws."""
    teacher, student = models()
    resolved = aligned(teacher, student, ("second", 2, 1))
    batch, ran = batch_of(inside=True, names=("first", "second")), []
    predictions, hidden = DIITO(resolved, teacher, student), DIITOHidden(resolved, teacher, student)
    for model in (teacher, student):
        for block in model.blocks:
            block.register_forward_hook(lambda *_, model=model: ran.append(model.role))
    for step in range(4):
        run = step_of(predictions, teacher, student, batch, step)
        ran.clear()
        predictions(run)
        # Only the blocks after the site: the prefix and the sources are those of the base runs.
        name = next(key[1] for key in run.shared)
        assert (ran.count("teacher"), ran.count("student")) == ((1, 1) if name == "first" else (0, 0))
        before = len(ran)
        hidden(run)
        assert len(ran) == before


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_hidden_states_of_the_counterfactuals(distance: str) -> None:
    (teacher, student), batch = models(), batch_of()
    with torch.no_grad():
        t = slow(teacher, 1, BASE, SOURCE, PAIRS).hidden_states[-1][batch.counted]
    s = slow(student, 0, BASE, SOURCE, PAIRS).hidden_states[-1][batch.counted]
    cosine = 1 - nn.functional.cosine_similarity(s, t)
    expected = (cosine if distance == "cosine" else (s - t).square().sum(-1)).mean()
    objective = DIITOHidden(aligned(teacher, student), teacher, student, distance=distance)  # type: ignore[arg-type]
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_widths_need_not_match_for_predictions_but_for_hidden_states() -> None:
    teacher, _ = models()
    student = student_from_teacher(teacher, layers=(0, 1), width=16)
    resolved = aligned(teacher, student)
    objective = DIITO(resolved, teacher, student)
    mine = objective(step_of(objective, teacher, student, batch_of()))
    assert_same_term(student, mine, _oracle(teacher, student, BASE, SOURCE, PAIRS))
    with pytest.raises(
        ValueError, match=r"diito_hidden compares hidden states, and the teacher's are 32 wide, the student's 16"
    ):
        DIITOHidden(resolved, teacher, student)


def test_labelled_tokens_only() -> None:
    (teacher, student), batch = models(), batch_of()
    assert batch.labels is not None
    t, s = (slow(m, n, BASE, SOURCE, PAIRS).logits[batch.labels >= 0] for m, n in ((teacher, 1), (student, 0)))
    objective = DIITO(aligned(teacher, student), teacher, student, temperature=1.0, tokens="labelled")
    expected = (t.softmax(-1) * (t.log_softmax(-1) - s.log_softmax(-1))).sum(-1).mean()
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_an_identical_student_has_nothing_to_learn() -> None:
    teacher, _ = models()
    student = student_from_teacher(teacher, every=1)
    same = aligned(teacher, student, first=("first", 1, 1))
    for one in (DIITO, DIITOHidden):
        objective = one(same, teacher, student, crossway=True)
        loss = objective(step_of(objective, teacher, student, batch_of()))
        assert loss.item() == pytest.approx(0, abs=1e-11)
        assert max(gradient.abs().max().item() for gradient in gradients(student, loss)) < 1e-6


def test_with_dropout_the_counterfactual_is_of_this_very_base_run() -> None:
    """An empty intervention at the last block: the student's counterfactual is its base run, dropout included."""
    teacher, student = models(dropout=0.5)
    student.model.train()
    resolved = aligned(teacher, student, first=("last", 2, 1))
    nothing = replace(batch_of(), positions={"last": positions([[], [], [], []])})
    objective = DIITO(resolved, teacher, student)
    run = step_of(objective, teacher, student, nothing)
    assert torch.equal(counterfactuals(run, resolved.pairs[0]).student.logits, run.student_run.logits)


def test_crossway_is_refused_where_a_token_of_the_source_would_get_two_values() -> None:
    teacher, student = models()
    resolved = aligned(teacher, student)
    policy = PositionPolicy(policy="explicit", base=(1, 2), source=(3, 3))
    twice = replace(resolved, pairs=tuple(replace(pair, policy=policy) for pair in resolved.pairs))
    DIITO(twice, teacher, student)
    with pytest.raises(ValueError, match="name a token of the source twice, which crossway would give two values"):
        DIITO(twice, teacher, student, crossway=True)
