"""A causal LM against the planted stories' own causal model: four answers a pair."""

import dataclasses

import pytest
import torch

from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.synthetic.stories import PLACE_OF, PlantedLM
from causalkd.data.tasks.loading import load_examples
from causalkd.verification.measures.ground_truth import KnownAnswers, ground_truth
from tests.handmade_lm import handmade_lm
from tests.oracles.interchange_accuracy import counterfactual_tokens

TASK = PlantedLM()
VARIABLES = ("facts", "fact_2", "person_2", "place_2", "asked_2", "mention_2", "located_2")
POLICIES = {
    "places": PositionPolicy(policy="segments", segments=("place_1", "place_2", "place_3", "place_4")),
    **{name: PositionPolicy(policy="segments", segments=(name,)) for name in ("place_2", "asked_2")},
}
CARRIES = {
    ("block_input", 0, "place_2"): "place_2",
    ("block_output", 0, "places"): "facts",
    ("block_output", 0, "asked_2"): "asked_2",
    ("block_output", 1, "asked_2"): "located_2",
}
"""What hook points of the hand-made LM hold that anything after them reads."""


@pytest.fixture(scope="module")
def batches():
    rows = load_examples("planted_lm", "validation", TASK.tokenizer(), limit=40).examples
    return pair_batches(rows, evaluation_pairs(rows, 60, seed=0), POLICIES, 25, 0)


@pytest.fixture(scope="module")
def answers(batches):
    return KnownAnswers.of(TASK.many_counterfactual_answers, VARIABLES, batches)


@pytest.fixture(scope="module")
def rows(batches, answers):
    parts = (
        ground_truth(handmade_lm(), answers, batches, name="teacher", component=component)
        for component in ("block_input", "block_output")
    )
    return {(row.component, row.layer, row.pair, row.variable): row for part in parts for row in part}


def test_the_task_is_asked_for_every_answer_of_the_very_pairs(batches, answers):
    bases, sources = (
        [{"input_ids": row.tolist()} for batch in batches for row in of_batch(batch)["input_ids"]]
        for of_batch in (lambda batch: batch.inputs, lambda batch: batch.source)
    )
    assert answers.pair.tolist() == [pair for pair in range(60) for _ in range(4)]
    told = [base["input_ids"][PLACE_OF[f"answer_{n}"]] for base in bases for n in range(1, 5)]
    assert answers.plain.tolist() == told
    expected = [TASK.counterfactual_answers(*pair, "fact_2") for pair in zip(bases, sources, strict=True)]
    assert answers.counterfactual["fact_2"].tolist() == [answer for each in expected for answer in each]


def test_the_handmade_lm_scores_one_where_a_variable_is(rows):
    for hook_point, variable in CARRIES.items():
        row = rows[*hook_point, variable]
        assert (row.iia, row.iia_effective, row.pairs) == (1.0, 1.0, 60), hook_point
        assert row.effective_pairs >= 30 and row.q_value < 0.01


def test_it_does_nothing_where_nothing_is_read_any_more(rows):
    for variable in VARIABLES:
        for pair in ("places", "place_2"):
            assert rows["block_output", 1, pair, variable].iia_effective == 0.0


def test_every_number_is_that_of_a_loop_over_rows_and_answers(batches, answers, rows):
    model, shares = handmade_lm().model, {}
    answered = [PLACE_OF[f"answer_{n}"] for n in range(1, 5)]
    with torch.no_grad():
        found = [
            token
            for batch in batches
            for row in range(len(batch.counted))
            for token in counterfactual_tokens(model, model.model.decoder.layers[0], batch, row, "place_2", answered)
        ]
    for variable in VARIABLES:
        known = list(zip(answers.plain.tolist(), answers.counterfactual[variable].tolist(), found, strict=True))
        changed = [truth == token for plain, truth, token in known if truth != plain]
        touched = {number // 4 for number, (plain, truth, _) in enumerate(known) if truth != plain}
        row = rows["block_output", 0, "place_2", variable]
        shares[variable] = row.iia_effective
        assert row.iia == pytest.approx(sum(truth == token for _, truth, token in known) / len(known))
        assert row.iia_effective == pytest.approx(sum(changed) / len(changed))
        assert row.effective_pairs == len(touched)
    # The token has the person beside it: the fact is there, but for the person left out and the one told of twice.
    assert shares["place_2"] < shares["fact_2"] < 1


def test_bases_that_are_labelled_elsewhere_are_refused(batches, answers):
    everywhere = [dataclasses.replace(batch, labels=batch.inputs["input_ids"]) for batch in batches]
    with pytest.raises(
        ValueError, match="makes 1980 predictions on these pairs, but the causal model gives 240 answers"
    ):
        ground_truth(handmade_lm(), answers, everywhere, name="teacher")
