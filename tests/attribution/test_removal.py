"""Removals that are asked together are those asked alone, and none is computed twice."""

import torch

from causalkd.attribution.faithfulness import removable
from causalkd.attribution.removal import Removal, counts_of
from causalkd.attribution.targets import class_views
from causalkd.models.hooks.hooked_model import HookedModel
from tests.tiny import LABELS, tiny, tiny_inputs


def _removal(positions: int) -> tuple[Removal, list[tuple[int, int]]]:
    """And the shapes of what goes through the model."""
    model = HookedModel(tiny("bert", "classification", dtype=torch.float64), task="classification", role="teacher")
    inputs = tiny_inputs(3, 12)
    inputs["attention_mask"][0, 4:] = 0
    views, shapes = class_views(LABELS, 3), []
    can_go = removable(model, inputs, views).flatten(0, 1)
    model.model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(tuple(given["attention_mask"].shape)), with_kwargs=True
    )
    return Removal(model, inputs, views, can_go, counts_of(can_go.sum(-1), 3), positions), shapes


def test_what_is_given_twice_is_computed_once_and_texts_of_one_length_go_together() -> None:
    removal, shapes = _removal(positions=10**6)
    rows = torch.arange(9).repeat(2)
    with torch.no_grad():
        twice = removal.values(rows, torch.zeros_like(removal.can_go).repeat(2, 1))
    assert min(shapes) == (3, 4) and sum(rows for rows, _ in shapes) == 9
    assert torch.equal(twice[:9], twice[9:])


def test_small_forwards_give_the_same() -> None:
    found = []
    for positions in (1, 10**6):
        removal, shapes = _removal(positions)
        with torch.no_grad():
            whole = removal.whole()
            orders = removal.search(whole)
            found.append((whole, orders, removal.mean_values(orders)))
        assert max(shape[0] for shape in shapes) == 1 or positions > 1
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
