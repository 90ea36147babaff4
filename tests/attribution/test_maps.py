"""Maps: what they hold, how positions are scored, and that a file gives back the same map."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from causalkd.attribution.integrated_gradients import integrated_gradients
from causalkd.attribution.maps import AttributionMap, attribution_map, token_norms
from causalkd.attribution.targets import Views, class_views
from tests.attribution.targets import hooked, views_of
from tests.tiny import tiny_inputs

INPUTS = tiny_inputs(4, 10)


def test_a_map_says_what_it_was_made_with() -> None:
    model = hooked()
    found = attribution_map(model, INPUTS, class_views(3, 4), steps=3, target="logit", reduction="norm")
    made = found.made
    assert (made.model, made.hook_point, made.target) == ("BertForSequenceClassification", "blocks.0.hook_in", "logit")
    assert (made.steps, made.baseline, made.reduction, made.attention) == (3, "zero", "norm", "sdpa")
    assert found.views == tuple((f"LABEL_{label}",) * 4 for label in range(3))
    assert found.tokens[0] == tuple(str(number) for number in INPUTS["input_ids"][0].tolist())
    assert torch.equal(found.mask, INPUTS["attention_mask"].bool())
    per_dimension = integrated_gradients(model, INPUTS, class_views(3, 4), steps=3, target="logit").values
    torch.testing.assert_close(found.scores, per_dimension.square().sum(-1).sqrt())


def test_the_sum_is_complete() -> None:
    found = attribution_map(hooked(), INPUTS, class_views(3, 4), steps=8)
    # Probabilities of all classes add up to one wherever the path begins and ends.
    torch.testing.assert_close(found.scores.sum((0, 2)), found.gap.sum(0), rtol=0, atol=1e-12)
    assert found.scores[:, ~found.mask].abs().max() == 0


def test_views_of_a_language_model_name_token_and_position() -> None:
    model = hooked("bert", "masked_lm")
    views = views_of(model, INPUTS)
    found = attribution_map(model, INPUTS, views, steps=1)
    assert found.views[1][2] == f"{views.choice[1, 2].item()} @ 3"


def test_the_norm_of_the_largest_dimensions() -> None:
    values = torch.tensor([[[[3.0, -4.0, 1.0], [0.0, 0.0, 0.0]]]])
    assert token_norms(values).flatten().tolist() == pytest.approx([26**0.5, 0])
    assert token_norms(values, 2).flatten().tolist() == [5.0, 0.0]
    assert token_norms(values, 1).flatten().tolist() == [4.0, 0.0]


def test_batches_of_unlike_width_are_joined() -> None:
    model = hooked()
    parts = [attribution_map(model, tiny_inputs(2, width), class_views(3, 2), steps=2) for width in (6, 9)]
    both = AttributionMap.join(parts)
    for rows, part in zip((slice(0, 2), slice(2, 4)), parts, strict=True):
        width = part.mask.shape[1]
        assert torch.equal(both.scores[:, rows, :width], part.scores) and torch.equal(both.gap[:, rows], part.gap)
        assert torch.equal(both.mask[rows, :width], part.mask)
        assert not both.mask[rows, width:].any() and not both.scores[:, rows, width:].any()
        assert tuple(row[:width] for row in both.tokens[rows]) == part.tokens
    assert both.views == tuple(first + second for first, second in zip(*(part.views for part in parts), strict=True))
    assert both.made == parts[0].made and {len(row) for row in both.tokens} == {9}


def test_a_file_gives_back_the_map(tmp_path: Path) -> None:
    found = attribution_map(hooked(), INPUTS, class_views(3, 4), steps=2)
    found.save(tmp_path / "map.safetensors")
    read = AttributionMap.load(tmp_path / "map.safetensors")
    assert torch.equal(read.scores, found.scores) and torch.equal(read.gap, found.gap)
    assert torch.equal(read.mask, found.mask)
    assert (read.tokens, read.views, read.made) == (found.tokens, found.views, found.made)


def test_files_that_hold_no_map(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no attribution map at"):
        AttributionMap.load(tmp_path / "none.safetensors")
    save_file({"scores": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"holds no attribution map: .*; AttributionMap.save writes one"):
        AttributionMap.load(tmp_path / "other.safetensors")


def test_maps_of_other_settings_are_not_joined() -> None:
    model, inputs = hooked("bert", "classification"), tiny_inputs(2, 6)
    one, other = (attribution_map(model, inputs, class_views(3, 2), steps=steps) for steps in (1, 2))
    few = attribution_map(model, inputs, Views(torch.zeros(1, 2, dtype=torch.long)), steps=1)
    for parts, message in (((one, other), r"steps=1.*steps=2"), ((one, few), "3 views.*1 views"), ((), "no map given")):
        with pytest.raises(ValueError, match=f"{message}.*only maps that were made with the same settings"):
            AttributionMap.join(parts)


def test_without_a_mask_every_token_counts() -> None:
    model, inputs = hooked("bert", "classification"), {"input_ids": tiny_inputs(2, 6, types=False)["input_ids"]}
    whole = {**inputs, "attention_mask": torch.ones_like(inputs["input_ids"])}
    one, same = (attribution_map(model, given, class_views(3, 2), steps=2) for given in (inputs, whole))
    assert torch.equal(one.scores, same.scores) and one.mask.all()
