"""Run: some of its rows, and what it donates to which row."""

import torch

from causalkd.models.hooked import HookedModel
from causalkd.models.run import Run
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs()
MODEL = HookedModel(tiny("bert", "masked_lm", dropout=0.5), task="masked_lm", role="student")
PLACE = MODEL.place("block_input", 1)


def _run(training: bool = False) -> Run:
    MODEL.model.train(training)
    return MODEL.run(INPUTS, [PLACE])


def test_every_row_donates_to_itself() -> None:
    run = _run()
    donor = run.donor()
    assert donor.activations[PLACE] is run.activations[PLACE]
    assert torch.equal(donor.attention_mask, INPUTS["attention_mask"])


def test_rows_donate_to_named_rows() -> None:
    run, rows = _run(), torch.tensor([2, 2, 0, 1])
    donor = run.donor(rows)
    assert torch.equal(donor.activations[PLACE], run.activations[PLACE][rows])
    assert torch.equal(donor.attention_mask, INPUTS["attention_mask"][rows])
    donor.activations[PLACE].sum().backward()
    assert any(parameter.grad is not None for parameter in MODEL.model.parameters())


def test_some_rows_of_a_run() -> None:
    run, rows = _run(training=True), torch.tensor([3, 1])
    assert list(run.generator_states) == [1]
    some = run.rows(rows)
    assert torch.equal(some.logits, run.logits[rows])
    assert torch.equal(some.hidden, run.hidden[rows])
    assert torch.equal(some.activations[PLACE], run.activations[PLACE][rows])
    assert {name: tensor.tolist() for name, tensor in some.inputs.items()} == {
        name: tensor[rows].tolist() for name, tensor in INPUTS.items()
    }
    # A random state is that of the whole batch: it would draw other dropout for fewer rows.
    assert some.generator_states == {}
