"""What the release gets wrong at the edges: right here, or an error."""

import re
from typing import Any

import pytest
import torch

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve
from causalkd.data.positions import Positions
from causalkd.models.hooks.hooked_model import HookedModel
from tests.golden import reader
from tests.oracles.interchange import Intervened, Spot, slow_interchange

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def check_edges(described: dict[str, Any]) -> None:
    """Slices that the release gets wrong are right here, and what does not exist is an error."""
    named = re.search(r"models (\w+)", described["what"])
    assert named, described["what"]
    models = f"diito_models_{named[1]}"
    for outcome in described["outcomes"]:
        variable = re.search(r"\$L:\d+(\$H:\S+?\$\[\d+:\d+\])?(?=[\s,)]|$)", outcome)
        counts = re.match(r"totals differ \((\d+) base positions, (\d+) source positions\)", outcome)
        if counts:
            _check_totals(int(counts[1]), int(counts[2]))
        elif variable and "layer" in outcome:
            layer = int(re.search(r"\$L:(\d+)", variable[0])[1])  # type: ignore[index]
            _check_absent_layer(reader.load(models, "teacher"), layer)
        elif variable:
            for role in ("teacher", "student"):
                _check_slice(reader.load(models, role), variable[0])
        else:
            # What these options mean is covered by other cases, or they are no options here.
            assert re.match("restrict_ce_to_mask|alpha_clm|is_parallel", outcome), f"unknown outcome {outcome!r}"


def _check_totals(base: int, source: int) -> None:
    masks = [torch.arange(10)[None] < count for count in (base, source)]
    with pytest.raises(ValueError, match=f"row 0: {base} base, {source} source"):
        Positions.from_masks(*masks)


def _check_absent_layer(model: HookedModel, layer: int) -> None:
    sites = (reader.Site(layer=layer),)
    with pytest.raises(
        ValueError, match=rf"block_output of layer {layer} does not exist; .*layers 0–{model.n_layers - 1}"
    ):
        resolve(reader.alignment(sites, sites), model, model)


def _check_slice(model: reader.GoldenModel, variable: str) -> None:
    """The declared columns, read at the block before as in the release, against plain hooks."""
    (one,) = reader.expand(variable)
    (site,) = reader.declared(model, (one,))
    given = site.model_copy(update={"layer": site.layer, "component": "block_input"})
    sites = (site.model_copy(update={"source": given}),)
    generator = torch.Generator().manual_seed(0)
    base, source = (
        {"input_ids": torch.randint(3, 90, (2, 9), generator=generator), "attention_mask": torch.ones(2, 9).long()}
        for _ in range(2)
    )
    pairs = [[(1, 4), (2, 5)], [(0, 8), (7, 2)]]
    positions = Positions(*torch.tensor(pairs).unbind(-1), torch.ones(2, 2, dtype=torch.bool))
    resolved = resolve(reader.alignment(sites, sites), model, model).pairs[0].teacher
    columns = range(*site.subspace_partition[0])  # type: ignore[index]
    assert resolved[0].columns is not None and resolved[0].columns.tolist() == list(columns)
    module = resolved[0].hook_point.module
    intervene = Intervened(Spot(module, "output", columns), Spot(module, "input", columns))
    mine = interchange(model, resolved, base, source, positions).logits
    torch.testing.assert_close(mine, slow_interchange(model.model, [intervene], base, source, pairs).logits, **CLOSE)
    assert not torch.allclose(mine, model.run(base).logits)


def check_unequal_counts(name: str, described: dict[str, Any]) -> None:
    """The cases in which the release lets vectors cross rows, or copies one into several, and causalkd refuses."""
    given = reader.tensors(name)
    model = reader.load(described["models"], "teacher")
    inputs = {key: given[key] for key in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model.run(inputs).logits, given["teacher_base_logits"], **CLOSE)
    base, sources = (
        given["interchange_mask"].bool(),
        [key for key in given if key.startswith("source_interchange_mask")],
    )
    assert sources
    for key in sources:
        counts = zip(base.sum(1).tolist(), given[key].bool().sum(1).tolist(), strict=True)
        wrong = [f"row {row}: {b} base, {s} source" for row, (b, s) in enumerate(counts) if b != s]
        assert wrong, f"{key} selects as many positions as the base mask"
        with pytest.raises(ValueError, match=re.escape("; ".join(wrong))):
            Positions.from_masks(base, given[key].bool())
