"""What torch calls at a hooked module, one call at a time."""

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from causalkd.models.hooks.hook_functions import (
    PassThrough,
    Stop,
    keep_first,
    on_input,
    on_output,
    on_stack,
    record,
    remember_shape,
)
from causalkd.models.hooks.hook_points import HookPoint

MODULE = nn.Identity()
FIRST, SECOND = (HookPoint(name, "block_output", 0, name, "output", 2) for name in ("first", "second"))


def test_a_hook_that_returns_nothing_replaces_nothing() -> None:
    tensor, seen = torch.ones(2, 3, 4), []
    assert on_input(seen.append, MODULE, (tensor, "more"), {}) is None
    assert on_output(seen.append, {}, 0, MODULE, (), tensor) is None
    assert seen[0] is tensor and seen[1] is tensor


def test_a_hook_that_returns_something_replaces_the_first_tensor() -> None:
    tensor = torch.ones(2, 3, 4)
    replaced = on_input(lambda each: 2 * each, MODULE, (tensor, "more"), {"other": 1})
    assert replaced is not None and torch.equal(replaced[0][0], 2 * tensor)
    assert replaced[0][1] == "more" and replaced[1] == {"other": 1}
    by_name = on_input(lambda each: 2 * each, MODULE, (), {"hidden_states": tensor, "other": 1})
    assert by_name is not None and by_name[0] == () and by_name[1]["other"] == 1
    assert torch.equal(by_name[1]["hidden_states"], 2 * tensor)


def test_of_a_tuple_the_first_is_shown_and_replaced() -> None:
    tensor, seen = torch.ones(2, 3, 4), []
    assert on_output(seen.append, {}, 0, MODULE, (), (tensor, "weights")) is None
    assert seen[0] is tensor
    replaced = on_output(lambda each: 2 * each, {}, 0, MODULE, (), (tensor, "weights"))
    assert torch.equal(replaced[0], 2 * tensor) and replaced[1:] == ("weights",)


def test_flattened_rows_are_shown_as_they_entered_the_block() -> None:
    shapes: dict[int, torch.Size] = {}
    remember_shape(shapes, 5, MODULE, (torch.zeros(2, 3, 4),), {})
    flat, seen = torch.arange(24.0).view(6, 4), []

    def hook(tensor: Tensor) -> Tensor:
        seen.append(tensor.shape)
        return tensor + 1

    replaced = on_output(hook, shapes, 5, MODULE, (), flat)
    assert seen == [(2, 3, 4)] and replaced is not None and torch.equal(replaced, flat + 1)


def test_the_head_is_handed_the_positions_asked_for() -> None:
    states, kept = torch.arange(24.0).view(2, 3, 4), []
    output = on_stack(kept, torch.tensor([5, 0]), MODULE, (), BaseModelOutput(last_hidden_state=states))
    assert kept[0] is states
    assert torch.equal(output[0], torch.stack([states[1, 2], states[0, 0]])[None])
    whole = BaseModelOutput(last_hidden_state=states)
    assert on_stack(kept, None, MODULE, (), whole)[0] is states


def test_a_stand_in_for_a_block() -> None:
    given, held = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert PassThrough(MODULE)(given, "mask", layer=3) is given
    assert PassThrough(MODULE, held)(given) is held
    assert PassThrough(MODULE)(hidden_states=given) is given
    in_tuple = PassThrough(MODULE, held, returned=3)(given)
    assert in_tuple[0] is held and in_tuple[1:] == (None, None)


def test_a_forward_ends_at_the_last_hook_point_and_its_repetition_goes_on() -> None:
    kept: dict[HookPoint, Tensor] = {}
    one, other = torch.zeros(1), torch.ones(1)
    record(kept, FIRST, 2, one)
    with pytest.raises(Stop):
        record(kept, SECOND, 2, one)
    record(kept, SECOND, 2, other)
    keep_first(kept, FIRST, other)
    assert kept[FIRST] is one and kept[SECOND] is one
