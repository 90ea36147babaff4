"""Parity with the DIITO release: one test per case file, from its manifest alone, to 1e-10 in float64.

Kinds of case: one training step (`neuron_mapping`), terms on labelled tokens only (`inputs`), what the release does at
the edges (`outcomes`), and unequal numbers of positions (`variable`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import ResolvedPair, resolve
from causalkd.data.batch import Batch
from causalkd.data.pairs.draw_positions import PositionPolicy, RowFacts, draw_positions
from causalkd.models.hooks.hooked_model import HookedModel
from tests.golden import reader
from tests.golden.edges import check_edges, check_unequal_counts
from tests.golden.step import Step

Described = dict[str, Any]


@pytest.mark.parametrize("name", reader.case_names())
def test_case(name: str, tmp_path: Path) -> None:
    described = reader.manifest(name)
    kinds = ("neuron_mapping", "inputs", "outcomes", "variable")
    match [kind for kind in kinds if kind in described]:
        case ["neuron_mapping"]:
            check_step(name, described, tmp_path)
        case ["inputs"]:
            check_labelled_tokens(described, tmp_path)
        case ["outcomes"]:
            check_edges(described)
        case ["variable"]:
            check_unequal_counts(name, described)
        case _:
            pytest.fail(f"{name}.json is of no known kind; it has the keys {sorted(described)}")


def check_step(name: str, described: Described, folder: Path) -> None:
    settings, given = described["hyperparameters"], reader.tensors(name)
    teacher, student = reader.load(described["models"], "teacher"), reader.load(described["models"], "student")
    unequal = given["interchange_mask"].sum(1) != given["dual_interchange_mask"].sum(1)
    if unequal.any():
        with pytest.raises(ValueError, match=r"select different numbers of positions \(row \d+: \d+ base, \d+ source"):
            reader.step_batch(given, "", "dual_")
        return
    pair = _pair(described, teacher, student)
    if pair is None:
        return
    step = Step(teacher, student, pair, settings, folder)
    orders = [("", "dual_"), ("dual_", "")] if settings.get("include_crossway") else [("", "dual_")]
    found, masks = [], []
    for base, source in orders:
        batch, of_step = reader.step_batch(given, base, source)
        found.append(step.run(batch))
        masks.append(of_step)
        _check_padding_is_refused(teacher, pair, batch, of_step)
    assert _check_scalars([described[key] for key in described if key.startswith("scalars_float64")], found)
    _check_tensors(given, found, masks)
    _check_gradients(described, given, student)
    _check_policy(described, given)


def _pair(described: Described, teacher: HookedModel, student: HookedModel) -> ResolvedPair | None:
    """The step's sites; None where they cannot be declared, after seeing that this is an error and not silence."""
    if described["hyperparameters"].get("data_augment"):
        tokens = reader.Site(layer=0, component="token_embedding")
        return resolve(reader.alignment((tokens,), (tokens,)), teacher, student).pairs[0]
    sides = reader.selected(described)
    aligned = reader.alignment(reader.sites(teacher, sides[0]), reader.sites(student, sides[1]))
    if any(
        v.layer >= model.n_layers for model, side in zip((teacher, student), sides, strict=True) for v in side.written
    ):
        with pytest.raises(ValueError, match=r"block_output of layer \d+ does not exist; .* did you mean layer \d+"):
            resolve(aligned, teacher, student)
        return None
    if not (reader.is_broadcast(teacher, sides[0]) or reader.is_broadcast(student, sides[1])):
        return resolve(aligned, teacher, student).pairs[0]
    with pytest.raises(ValueError, match=r"gives \d+ columns, but \d+ columns of .* are written; choose as many"):
        resolve(aligned, teacher, student)
    return reader.pair_of(reader.broadcast(teacher, sides[0]), reader.broadcast(student, sides[1]))


def _check_padding_is_refused(teacher: HookedModel, pair: ResolvedPair, batch: Batch, masks: reader.Masks) -> None:
    assert batch.source is not None
    plain = HookedModel(teacher.model, task="masked_lm", role="teacher")
    reads_padding = ~batch.source_counted.gather(1, masks.drawn.source) & masks.drawn.valid
    if masks.positions.valid.ne(masks.drawn.valid).any() or reads_padding.any():
        with pytest.raises(ValueError, match="positions of an interchange must be real tokens, not padding"):
            interchange(plain, pair.teacher, batch.inputs, batch.source, masks.drawn)


def _check_scalars(expected: Any, found: list[dict[str, Tensor]], name: str = "") -> int:
    """Every number, by its name, is that of one of the steps (of the step, where there is one); how many there are."""
    if isinstance(expected, Mapping):
        return sum(_check_scalars(value, found, key) for key, value in expected.items())
    if isinstance(expected, list):
        return sum(_check_scalars(value, found, name) for value in expected)
    known = [key for key in found[0] if name.startswith(key)]
    assert known, f"unknown scalar {name}"
    mine = [step[known[0]].item() for step in found]
    assert any(one == pytest.approx(expected, rel=1e-10, abs=1e-10) for one in mine), f"{name}: {mine}, not {expected}"
    return 1


def _check_tensors(given: Mapping[str, Tensor], found: list[dict[str, Tensor]], masks: list[reader.Masks]) -> None:
    """Logits and hidden states, except what the release writes into padding, which nothing reads and nothing counts."""
    outputs = {key: re.match(r"(teacher|student)_(cf_|dual_)?(logits|hidden)", key) for key in given}
    assert any("_cf_" in key for key, match in outputs.items() if match)
    for key, match in outputs.items():
        if match is None:
            continue
        differences = []
        for step, of_step in zip(found, masks, strict=True):
            drawn = torch.zeros_like(of_step.padded).scatter(1, of_step.drawn.base, of_step.drawn.valid)
            kept = ~(drawn & of_step.padded) if "_cf_" in key else torch.ones_like(drawn)
            difference = (step[match[0]] - given[key]).abs().amax(-1)
            differences.append(difference.where(kept, 0).max().item())
        assert min(differences) < 1e-10, f"{key}: {differences}"


def _check_gradients(described: Described, given: Mapping[str, Tensor], student: HookedModel) -> None:
    (expected,) = (described[key] for key in described if key.startswith("student_grad_norm"))
    mine = {name: p.grad for name, p in student.model.named_parameters() if p.grad is not None}
    for name, norm in expected["per_parameter"].items():
        assert mine[name].norm().item() == pytest.approx(norm, rel=1e-10, abs=1e-10), name
    assert set(mine) == set(expected["per_parameter"])
    total = torch.stack([gradient.norm() for gradient in mine.values()]).norm()
    assert total.item() == pytest.approx(expected["global"], rel=1e-10, abs=1e-10)
    for key in given:
        if key.startswith("grad.student."):  # kept in float32
            gradient = mine[key.removeprefix("grad.student.")]
            torch.testing.assert_close(gradient.float(), given[key], rtol=1e-6, atol=1e-7, msg=key)


def _check_policy(described: Described, given: Mapping[str, Tensor]) -> None:
    """Our policies draw as many positions as the release did."""
    settings = described["hyperparameters"]
    share, most = settings["interchange_prop"], settings["interchange_max_token"]
    if settings["interchange_masked_token_only"]:
        policy = PositionPolicy(policy="masked")
    elif 0 < share <= 1 and most != 0:
        kind = "consecutive" if settings["interchange_consecutive_only"] else "scattered"
        policy = PositionPolicy(policy=kind, fraction=share, maximum=None if most < 0 else most)
    else:
        return
    base = RowFacts(given["attention_mask"].bool(), given["lm_labels"] >= 0)
    source = RowFacts(given["dual_attention_mask"].bool())
    drawn = draw_positions(policy, base, source, 0, torch.arange(len(given["input_ids"])))
    assert drawn.valid.sum(1).tolist() == given["interchange_mask"].sum(1).tolist()


def check_labelled_tokens(described: Described, folder: Path) -> None:
    """The terms over all and over the labelled tokens, on the inputs of another case."""
    names = re.findall(r"diito_\w+", described["inputs"])
    temperature = re.search(r"T=([\d.]+)", described["inputs"])
    assert len(names) == 1 and temperature, described["inputs"]
    original, given = reader.manifest(names[0]), reader.tensors(names[0])
    teacher, student = reader.load(original["models"], "teacher"), reader.load(original["models"], "student")
    pair = _pair(original, teacher, student)
    assert pair is not None
    batch, _ = reader.step_batch(given, "", "dual_")
    assert described.get("n_labelled_tokens", int((batch.labels >= 0).sum())) == int((batch.labels >= 0).sum())
    for key, expected in described["scalars_float64"].items():
        restricted = re.fullmatch(r"restrict_ce_to_mask=(True|False)", key)
        assert restricted, f"unknown variant {key}"
        settings = {"temperature": float(temperature[1]), "restrict_ce_to_mask": restricted[1] == "True"}
        assert _check_scalars(expected, [Step(teacher, student, pair, settings, folder).run(batch)])
