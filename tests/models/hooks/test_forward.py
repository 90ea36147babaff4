"""Run: what it donates to which row, and which positions its logits are of."""

import torch

from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.split_head import logits_of
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs()
MODEL = HookedModel(tiny("bert", "masked_lm", dropout=0.5), task="masked_lm", role="student")
PLACE = MODEL.hook_point("block_input", 1)


def _run(training: bool = False) -> ForwardOutput:
    MODEL.model.train(training)
    return MODEL.run(INPUTS, [PLACE])


def test_every_row_donates_to_itself() -> None:
    run = _run()
    source_activations = run.source_activations()
    assert source_activations.activations[PLACE] is run.activations[PLACE]
    assert torch.equal(source_activations.attention_mask, INPUTS["attention_mask"])


def test_rows_donate_to_named_rows() -> None:
    run, rows = _run(), torch.tensor([2, 2, 0, 1])
    source_activations = run.source_activations(rows)
    assert torch.equal(source_activations.activations[PLACE], run.activations[PLACE][rows])
    assert torch.equal(source_activations.attention_mask, INPUTS["attention_mask"][rows])
    source_activations.activations[PLACE].sum().backward()
    assert any(parameter.grad is not None for parameter in MODEL.model.parameters())


def test_what_belongs_to_the_logits() -> None:
    run, at = _run(), torch.tensor([3, 17, 0])
    some = MODEL.run(INPUTS, logits_at=at)
    assert torch.equal(run.of_items(INPUTS["input_ids"]), INPUTS["input_ids"].flatten())
    assert torch.equal(some.of_items(INPUTS["input_ids"]), INPUTS["input_ids"].flatten()[at])
    torch.testing.assert_close(some.item_logits, run.item_logits[at])


def test_other_rows_as_a_base() -> None:
    rows, at = torch.tensor([2, 2, 0, 1]), torch.tensor([3, 17])
    run, some = _run(), MODEL.run(INPUTS, [PLACE], logits_at=at)
    moved, without = run.as_base(rows), some.as_base(rows)
    assert torch.equal(moved.inputs["input_ids"], INPUTS["input_ids"][rows])
    for found, expected in ((moved.logits, run.logits), (moved.hidden, run.hidden)):
        assert torch.equal(found, expected[rows])
    for each in (moved, without):
        assert torch.equal(each.activations[PLACE], run.activations[PLACE][rows])
    assert len(without.item_logits) == 0 and without.logits_at is not None and len(without.logits_at) == 0


def test_the_logits_of_a_stock_output() -> None:
    first, second = torch.zeros(2, 3), torch.ones(2, 3)
    assert logits_of({"logits": first}) is first
    answers = logits_of({"start_logits": first, "end_logits": second})
    assert torch.equal(answers[..., 0], first) and torch.equal(answers[..., 1], second)
