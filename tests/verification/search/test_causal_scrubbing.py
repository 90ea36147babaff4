import dataclasses

import numpy as np
import pytest
import torch

from causalkd.data.synthetic.nli import EQUATIONS, PlantedNLI
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.search.causal_scrubbing import Depth, PlantedRows, Scrubbed, scrub
from tests.handmade import CAUSES, examples, handmade, variables
from tests.oracles.scrubbing import expected_loss
from tests.shrunk import planted_model
from tests.tiny import tiny

INPUTS = Depth(0, {"x": ("x",), "y": ("y",), "bit": ("bit",)}, "block_input")
FIRST = Depth(0, {"y": ("equal",), "bit": ("bit",)})
SECOND = Depth(1, {"bit": ("label",)})


@pytest.fixture(scope="module")
def planted():
    """Rows of the hand-made transformer, of which half have two equal symbols."""
    rows = examples()
    alike = [row for row in rows if row["input_ids"][0] == row["input_ids"][1]]
    return PlantedRows.of([*rows, *(alike * 6)], variables, CAUSES)


@pytest.mark.parametrize("hypothesis", [[FIRST], [SECOND], [FIRST, SECOND], [INPUTS, FIRST, SECOND]])
def test_the_true_hypothesis_recovers_the_whole_loss(planted, hypothesis):
    found = scrub(handmade(), hypothesis, planted, rows=200)
    assert found.recovered == pytest.approx(1.0, abs=1e-5) and found.clean < 0.35 < 0.7 < found.random


@pytest.mark.parametrize(
    "wrong",
    [
        [Depth(0, {"x": ("equal",), "bit": ("bit",)})],  # at the wrong symbol
        [Depth(0, {"y": ("y",), "bit": ("bit",)})],  # the symbol itself, not whether it equals the other
        [Depth(0, {"y": ("equal",)})],  # the bit forgotten
        [Depth(1, {"bit": ("bit",)})],  # the label not computed yet
        [Depth(1, {"y": ("label",)})],  # at the wrong hook point
        [
            dataclasses.replace(INPUTS, carries={"x": ("x",), "bit": ("bit",)}),
            FIRST,
            SECOND,
        ],  # right but for the inputs
    ],
)
def test_a_wrong_hypothesis_recovers_nothing(planted, wrong):
    assert scrub(handmade(), wrong, planted, rows=600).recovered < 0.2


def test_a_hypothesis_that_is_nearly_right_recovers_what_it_explains():
    # Of all rows one in eight has equal symbols, so that a random y gives the same `equal` in 50 of 64 cases.
    planted = PlantedRows.of(examples(), variables, CAUSES)
    found = scrub(handmade(), [Depth(0, {"x": ("equal",), "bit": ("bit",)})], planted, rows=4000)
    assert found.recovered == pytest.approx(1 - (14 / 64) / 0.5, abs=0.06)


def test_variables_without_an_effect_on_what_is_looked_for_are_resampled_too(planted):
    # `equal` does not depend on the bit: rows that agree in it are scrubbed before it without their bit.
    depths = [INPUTS, Depth(0, {"y": ("equal",), "bit": ("bit",)}), SECOND]
    whole = scrub(handmade(), depths, dataclasses.replace(planted, causes={"label": ("bit",)}), rows=400)
    assert whole.recovered < 0.2  # without the causes of `equal` nothing keeps it


def test_the_mean_over_draws_is_the_expectation_over_all_stand_ins():
    task, model = PlantedNLI(), planted_model(initializer_range=0.6)
    model.model.eval()
    rows = task.examples("heldout", 9, 3)
    planted = PlantedRows.of(rows, task.variables, {name: causes for name, (causes, _) in EQUATIONS.items()})
    carries = {"premise": ("premise_quantifier",), "hypothesis": ("hypothesis_quantifier",)}
    with torch.no_grad():
        expected = expected_loss(model, 0, carries, rows, planted.values, planted.labels)
    draws = [scrub(model, [Depth(0, carries)], planted, rows=1000, seed=seed) for seed in range(4)]
    found = [draw.scrubbed for draw in draws]
    assert np.mean(found) == pytest.approx(expected, abs=2 * np.std(found))  # four standard errors
    assert abs(expected - np.mean([draw.clean for draw in draws])) > 0.03  # which is not what was measured before
    assert scrub(model, [Depth(0, carries)], planted, rows=50, seed=1) == scrub(
        model, [Depth(0, carries)], planted, rows=50, seed=1
    )


def test_a_model_that_only_guesses_recovers_nothing_that_can_be_shared():
    assert Scrubbed(0.7, 0.7, 0.7, 10).recovered is None
    assert Scrubbed(0.2, 0.45, 0.7, 10).recovered == pytest.approx(0.5)


def test_nothing_is_left_behind(planted):
    model = handmade("student")
    model.model.train()
    scrub(model, [FIRST], planted, rows=10)
    assert model.training and not any(block._forward_hooks for block in model.blocks)


def test_every_fault_is_reported(planted):
    wrong = [Depth(0, {"z": ("x",), "y": ("equals",)}, "mlp_output")]
    with pytest.raises(ValueError) as told:
        scrub(handmade(), wrong, planted)
    for words in ("component 'mlp_output'", "segment 'z' does not exist; there are x, y, bit", "variable 'equals'"):
        assert f"depth 0: {words}" in str(told.value)
    with pytest.raises(ValueError, match="in the order of a forward"):
        scrub(handmade(), [SECOND, FIRST], planted)
    with pytest.raises(ValueError, match="0 depths and 224 rows"):
        scrub(handmade(), [], planted)
    overlapping = PlantedRows.of(PlantedNLI().examples("heldout", 4, 0), PlantedNLI().variables, {})
    with pytest.raises(ValueError, match="overlap; name each token once"):
        scrub(planted_model(), [Depth(0, {"premise": (), "premise_noun": ()})], overlapping)
    uneven = dataclasses.replace(planted, examples=[{"input_ids": [2, 3], "segments": {}}, *planted.examples[1:]])
    with pytest.raises(ValueError, match="rows differ in length or segments"):
        scrub(handmade(), [Depth(0, {})], uneven)


def test_other_heads_are_refused(planted):
    other = HookedModel(tiny("bert", "regression"), task="regression", role="student")
    with pytest.raises(ValueError, match="the model is for regression; scrub a classifier"):
        scrub(other, [FIRST], planted)
