import pytest
import torch

from causalkd.attribution.faithfulness import Faithfulness, faithfulness, removable
from causalkd.attribution.targets import Views, class_views, token_views
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task
from tests.oracles.faithfulness import aopc, extremes, greedy, value_of
from tests.shrunk import planted_model
from tests.tiny import LABELS, tiny, tiny_inputs


def _model(architecture: str, task: Task, dropout: float = 0.0) -> HookedModel:
    return HookedModel(tiny(architecture, task, dtype=torch.float64, dropout=dropout), task=task, role="student")


def _views(model: HookedModel, inputs: dict[str, torch.Tensor]) -> Views:
    rows = len(inputs["input_ids"])
    if model.task in ("classification", "regression"):
        return class_views(LABELS if model.task == "classification" else 1, rows)
    real = inputs["attention_mask"]
    # Whichever side the padding is on: the last real position but one.
    last = real.shape[1] - 2 - real.flip(1).argmax(1)
    return token_views(model.run(inputs).logits.detach()[torch.arange(rows), last], last, 2)


def _measure(model, inputs, views, scores=None, **options) -> Faithfulness:
    draw = torch.Generator().manual_seed(0)
    scores = (
        torch.randn(*views.choice.shape, inputs["input_ids"].shape[1], generator=draw) if scores is None else scores
    )
    return faithfulness(model, inputs, views, scores, generator=draw, **options)


CASES: list[tuple[str, Task, str]] = [
    ("bert", "classification", "right"),
    ("roberta", "regression", "right"),
    ("distilbert", "masked_lm", "right"),
    ("gpt2", "classification", "left"),
    ("llama", "classification", "right"),
    ("opt", "causal_lm", "left"),
    ("qwen2", "causal_lm", "right"),
]


@pytest.mark.parametrize(("architecture", "task", "side"), CASES)
def test_it_is_what_a_loop_over_rows_finds(architecture: str, task: Task, side: str) -> None:
    model, inputs = _model(architecture, task), tiny_inputs(3, 8, side=side)
    views = _views(model, inputs)
    scores = torch.randn(*views.choice.shape, 8, generator=torch.Generator().manual_seed(1))
    found, can_go = _measure(model, inputs, views, scores, portions=3, positions=7 * 8), removable(model, inputs, views)
    for v, row in ((v, row) for v in range(len(scores)) for row in range(3)):
        position = None if views.position is None else int(views.position[row])
        value = value_of(model.model, inputs, row, int(views.choice[v, row]), position)
        order = [i for i in scores[v, row].argsort(descending=True).tolist() if can_go[v, row, i]]
        assert float(found.comprehensiveness[v, row]) == pytest.approx(aopc(value, order, 3), abs=1e-12)
        assert float(found.sufficiency[v, row]) == pytest.approx(aopc(value, order[::-1], 3), abs=1e-12)


@pytest.mark.parametrize("portions", [100, 2])
def test_the_extremes_of_few_tokens_are_those_of_every_order(portions: int) -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(4, 8)
    with torch.no_grad():  # so that tokens act on each other, and a greedy search goes astray
        for weight in model.model.parameters():
            weight.mul_(3)
    views = class_views(LABELS, 4)
    found, can_go = _measure(model, inputs, views, portions=portions), removable(model, inputs, views)
    for v, row in ((v, row) for v in range(LABELS) for row in range(4)):
        value, tokens = value_of(model.model, inputs, row, v, None), can_go[v, row].nonzero()[:, 0].tolist()
        lowest, highest = extremes(value, tokens, min(portions, len(tokens)))
        assert float(found.lower[v, row]) == pytest.approx(lowest, abs=1e-12)
        assert float(found.upper[v, row]) == pytest.approx(highest, abs=1e-12)
    assert can_go.sum(-1)[0].tolist() == [6, 5, 4, 3]


def test_the_extremes_of_many_tokens_are_no_worse_than_a_greedy_search() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(1, 11)
    views = class_views(LABELS, 1)
    found = _measure(model, inputs, views, portions=100)
    tokens = removable(model, inputs, views)[0, 0].nonzero()[:, 0].tolist()
    assert len(tokens) == 9
    for v in range(LABELS):
        value = value_of(model.model, inputs, 0, v, None)
        assert float(found.upper[v, 0]) >= aopc(value, greedy(value, tokens, True), 9) - 1e-12
        assert float(found.lower[v, 0]) <= aopc(value, greedy(value, tokens, False), 9) + 1e-12


def test_normalised_lies_between_the_extremes_and_a_map_of_single_losses_near_the_top() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(6, 12)
    views = class_views(LABELS, 6)
    whole = model.run(inputs).logits.softmax(-1).detach()
    falls = []
    for i in range(12):
        mask = inputs["attention_mask"].clone()
        mask[:, i] = 0
        falls.append(whole - model.run({**inputs, "attention_mask": mask}).logits.softmax(-1).detach())
    found = _measure(model, inputs, views, torch.stack(falls, -1).transpose(0, 1))
    high, low, chance = map(found.normalised, (found.comprehensiveness, found.sufficiency, found.random))
    assert all(((each >= 0) & (each <= 1)).all() for each in (high, low, chance))
    assert low.mean() < chance.mean() - 0.2 < chance.mean() + 0.2 < high.mean()


def test_only_the_order_of_scores_matters_and_a_view_is_measured_alone() -> None:
    model, inputs = _model("gpt2", "classification"), tiny_inputs(3, 8)
    views, scores = class_views(LABELS, 3), torch.randn(LABELS, 3, 8, generator=torch.Generator().manual_seed(2))
    found, scale_by_t2 = _measure(model, inputs, views, scores), _measure(model, inputs, views, scores.exp() * 1e-9)
    alone = _measure(model, inputs, Views(views.choice[1:2]), scores[1:2])
    assert torch.equal(found.comprehensiveness, scale_by_t2.comprehensiveness)
    torch.testing.assert_close(alone.sufficiency[0], found.sufficiency[1])


def test_rows_without_a_removable_token_count_in_no_mean() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(2, 8)
    inputs["attention_mask"][1, 2:] = 0
    found = _measure(model, inputs, class_views(LABELS, 2))
    every = (found.comprehensiveness, found.sufficiency, found.random, found.upper)
    assert all(each[:, 0].isfinite().all() and each[:, 1].isnan().all() for each in every)
    assert found.normalised(found.random)[:, 1].isnan().all()
    with torch.no_grad():  # a model that does not look: no order makes a difference
        model.model.get_submodule("classifier").weight.zero_()
    assert _measure(model, inputs, class_views(LABELS, 2)).normalised(found.random).isnan().all()


def test_an_order_by_scores_that_are_no_numbers_is_not_measured() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(2, 8)
    scores = torch.randn(1, 2, 8, generator=torch.Generator().manual_seed(1))
    whole = _measure(model, inputs, class_views(1, 2), scores)
    scores[0, 0, 3] = torch.nan
    found = _measure(model, inputs, class_views(1, 2), scores)
    for own, before in ((each, getattr(whole, name)) for name, each in vars(found).items()):
        torch.testing.assert_close(own[:, 1], before[:, 1])
    assert found.comprehensiveness[0, 0].isnan() and found.sufficiency[0, 0].isnan()
    assert 0 <= found.normalised(found.random)[0, 0] <= 1


def test_rounding_is_no_difference_between_orders() -> None:
    model, inputs = (
        HookedModel(tiny("bert", "classification"), task="classification", role="student"),
        tiny_inputs(3, 8),
    )
    with torch.no_grad():
        model.model.classifier.weight.mul_(2e-7)
    found = _measure(model, inputs, class_views(LABELS, 3))
    assert (found.upper == found.lower).all() and found.normalised(found.random).isnan().all()


def test_what_can_be_taken_away() -> None:
    model = planted_model()
    assert model.tokenizer is not None
    inputs = dict(model.tokenizer(["every - dog strolls"], ["some - dog walks"], return_tensors="pt"))
    gone = removable(model, inputs, class_views(3, 1))[2, 0]
    words = model.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    assert [word for word, goes in zip(words, gone.tolist(), strict=True) if goes] == [
        *("every", "-", "dog", "strolls", "some", "-", "dog", "walks"),
    ]
    inputs["input_ids"][0, 3] = model.tokenizer.unk_token_id
    assert (removable(model, inputs, class_views(3, 1))[2, 0] == gone).all()
    inputs = tiny_inputs(2, 6, side="left")  # the second row begins with a pad
    views = Views(torch.zeros(1, 2, dtype=torch.long), torch.tensor([3, 3]))
    masked = removable(_model("bert", "masked_lm"), inputs, views)[0]
    causal = removable(_model("gpt2", "causal_lm"), inputs, views)[0]
    assert masked.long().tolist() == [[0, 1, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0]]
    assert causal.long().tolist() == [[0, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0]]


def test_the_model_is_left_as_it_was_and_dropout_is_off() -> None:
    model, inputs = _model("bert", "classification", dropout=0.5), tiny_inputs(2, 6)
    model.model.train()
    before = torch.get_rng_state()
    one, other = (_measure(model, inputs, class_views(LABELS, 2)) for _ in range(2))
    assert torch.equal(one.comprehensiveness, other.comprehensiveness) and torch.equal(torch.get_rng_state(), before)
    assert model.model.training and all(parameter.grad is None for parameter in model.model.parameters())


def test_in_half_precision() -> None:
    model, inputs = (
        HookedModel(tiny("bert", "classification", dtype=torch.bfloat16), task="classification", role="teacher"),
        tiny_inputs(2, 6),
    )
    found = _measure(model, inputs, class_views(LABELS, 2))
    assert found.upper.isfinite().all() and (found.upper >= found.lower).all()


def test_at_least_one_portion_and_one_random_order() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(2, 6)
    with pytest.raises(ValueError, match="portions is 0 and random_orders 5; give at least 1 of each"):
        _measure(model, inputs, class_views(LABELS, 2), portions=0)


def test_batches_one_after_the_other() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(2, 6)
    found = _measure(model, inputs, class_views(LABELS, 2))
    both = Faithfulness.join([found, found])
    assert torch.equal(both.upper, found.upper.repeat(1, 2)) and torch.equal(both.random, found.random.repeat(1, 2))


def test_scores_are_of_these_views_and_inputs() -> None:
    model, inputs = _model("bert", "classification"), tiny_inputs(2, 6)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(
        ValueError, match=r"scores have shape \(1, 2, 6\); of these views and inputs a map has \(3, 2, 6\)"
    ):
        faithfulness(model, inputs, class_views(3, 2), torch.zeros(1, 2, 6), generator=generator)
