"""Reads the golden DIITO cases: manifests, tensors, models, and the release's variable names as our sites."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from causalkd.alignment.resolve import ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.batch import Batch, Inputs
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.data.positions import Positions
from causalkd.models.hooks.forward import SourceActivations
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel, Role

SHIPPED = Path(__file__).parent / "cases"
FOLDER = Path(os.environ.get("CAUSALKD_GOLDEN", SHIPPED))
PAIR = "golden"
ANY = PositionPolicy(policy="all")
_VARIABLE = re.compile(r"\$L:(\[\d+:\d+\]|\d+)\$H:(\[\d+:\d+\]|\d+)\$\[(\d+):(\d+)\]")


def case_names(method: str = "diito") -> list[str]:
    """Every case of a method in the folder; what describes models or semantics is no case."""
    names = sorted(path.stem for path in FOLDER.glob(f"{method}_*.json"))
    names = [name for name in names if not name.startswith(f"{method}_models_") and name != f"{method}_semantics"]
    if not names:
        raise FileNotFoundError(f"CAUSALKD_GOLDEN: {FOLDER} holds no {method}_*.json")
    return names


def exists(name: str) -> bool:
    """Whether this folder, or the one that comes with the tests, has a case."""
    return _path(f"{name}.json").exists()


def manifest(name: str) -> dict[str, Any]:
    return json.loads(_path(f"{name}.json").read_text(encoding="utf-8"))


@cache
def tensors(name: str) -> dict[str, Tensor]:
    return load_file(_path(f"{name}.safetensors"))


def _path(file: str) -> Path:
    # Another folder may refer to the models, and to the inputs of cases, that come with the tests.
    return next((folder / file for folder in (FOLDER, SHIPPED) if (folder / file).exists()), FOLDER / file)


class GoldenModel(HookedModel):
    """A model whose source rows may be read in padding.

    The release draws scattered positions over the padded length. causalkd refuses such positions; here padding counts
    as real on the reading side, so that the release's numbers can be compared.
    """

    def read(self, inputs: Inputs, places: Sequence[HookPoint]) -> SourceActivations:
        found = super().read(inputs, places)
        return replace(found, attention_mask=torch.ones_like(found.attention_mask))


def load(models: str, role: Role) -> GoldenModel:
    """The teacher or the student that `models` describes, in float64, with eager attention, in the release's modes."""
    names = [name for name in re.findall(r"diito_models_\w+", models) if _path(f"{name}.json").exists()]
    assert names, f"{models!r} names no file of models"
    described, weights = manifest(names[0]), tensors(names[0])
    stock_class = getattr(transformers, described[f"{role}_class"])
    config = stock_class.config_class(**described[f"{role}_config"])
    config._attn_implementation = "eager"
    stock = stock_class(config).double()
    own = {name.removeprefix(f"{role}."): tensor for name, tensor in weights.items() if name.startswith(f"{role}.")}
    stock.load_state_dict({name: tensor.double() for name, tensor in own.items()})
    eps = {module.eps for module in stock.modules() if isinstance(module, torch.nn.LayerNorm)}
    assert eps == {described.get(f"{role}_layer_norm_eps", 1e-12)}
    stock.train(role == "student")
    return GoldenModel(stock, task="masked_lm", role=role)


class Variable(NamedTuple):
    """One expanded variable name: a layer, a head and a range of that head's columns."""

    layer: int
    head: int
    start: int
    stop: int


def expand(names: str | Sequence[str]) -> tuple[Variable, ...]:
    """The variables behind names such as `$L:[0:2]$H:3$[0:8]`: layers outer, heads inner."""
    found: list[Variable] = []
    for name in [names] if isinstance(names, str) else names:
        match = _VARIABLE.fullmatch(name)
        assert match, f"unknown variable name {name!r}"
        layers, heads, start, stop = _range(match[1]), _range(match[2]), int(match[3]), int(match[4])
        found += [Variable(layer, head, start, stop) for layer in layers for head in heads]
    return tuple(found)


def _range(text: str) -> range:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return range(*numbers) if len(numbers) == 2 else range(numbers[0], numbers[0] + 1)


class Sides(NamedTuple):
    """The variables of both models: where they are written, and one index into `hidden_states` later or not, read."""

    written: tuple[Variable, ...]
    read: tuple[Variable, ...]


def selected(described: dict[str, Any]) -> tuple[Sides, Sides]:
    """What a step wrote and read, teacher first: the drawn entry of the mapping, and the names that were read.

    The release reads the names as they stand, that is `hidden_states[L]`, the input of the block whose output it
    writes. The paper's variant was made by feeding names with L + 1.
    """
    read = [expand(described[f"selected_{side}_variables"]) for side in ("teacher", "student")]
    for shift in (1, 0) if "VARIANT" in described["case"] else (0, 1):
        for entry in described["neuron_mapping"]["interchange_variable_mappings"]:
            options = [[expand(name) for name in entry[f"{side}_variable_names"]] for side in ("teacher", "student")]
            written = [tuple(v._replace(layer=v.layer - shift) for v in variables) for variables in read]
            if all(any(side == option for option in of_side) for side, of_side in zip(written, options, strict=True)):
                return Sides(written[0], read[0]), Sides(written[1], read[1])
    raise AssertionError("the selected variables are none of the mapping's")


def sites(model: HookedModel, side: Sides) -> tuple[Site, ...]:
    """One site a layer, with the columns that the release writes there and reads one block earlier."""
    result = []
    for layer in dict.fromkeys(variable.layer for variable in side.written):
        pairs = [(w, r) for w, r in zip(*side, strict=True) if w.layer == layer]
        written = tuple(_written(model, variable) for variable, _ in pairs)
        read = tuple(_columns(model, variable) for _, variable in pairs)
        (index,) = {variable.layer for _, variable in pairs}
        source = None
        if index != layer + 1 or read != written:
            component, of = ("block_input", index) if index < model.n_layers else ("block_output", index - 1)
            source = Site(layer=of, component=component, subspace_partition=read)
        result.append(Site(layer=layer, subspace_partition=written, source=source))
    return tuple(result)


def declared(model: HookedModel, variables: Sequence[Variable]) -> tuple[Site, ...]:
    """The sites that the names mean: read and written at one hook point, with the columns they name."""
    layers = dict.fromkeys(variable.layer for variable in variables)
    of_layer = {layer: [_columns(model, v) for v in variables if v.layer == layer] for layer in layers}
    return tuple(Site(layer=layer, subspace_partition=tuple(parts)) for layer, parts in of_layer.items())


def _columns(model: HookedModel, variable: Variable) -> tuple[int, int]:
    offset = variable.head * (model.width // model.n_heads)
    return offset + variable.start, offset + variable.stop


def _written(model: HookedModel, variable: Variable) -> tuple[int, int]:
    # The release adds the stop to a start that is shifted already; the tensor's end clips it.
    start, _ = _columns(model, variable)
    return start, min(start + variable.stop, model.width)


def is_broadcast(model: HookedModel, side: Sides) -> bool:
    """Whether the release copies one column that it reads into several that it writes."""
    return any(_width(_written(model, w)) > _width(_columns(model, r)) == 1 for w, r in zip(*side, strict=True))


def broadcast(model: HookedModel, side: Sides) -> tuple[ResolvedSite, ...]:
    """The release's sites where it broadcasts a column, which an alignment refuses to declare."""
    result = []
    for site in sites(model, side):
        assert site.subspace_partition and site.source and site.source.subspace_partition
        pairs = list(zip(site.subspace_partition, site.source.subspace_partition, strict=True))
        written = [column for part, _ in pairs for column in range(*part)]
        read = [column for part, given in pairs for column in _repeated(given, _width(part))]
        source = ResolvedSite(model.hook_point(site.source.component, site.source.layer), torch.tensor(read))
        result.append(ResolvedSite(model.hook_point("block_output", site.layer), torch.tensor(written), source))
    return tuple(result)


def _width(part: tuple[int, ...]) -> int:
    return part[1] - part[0]


def _repeated(part: tuple[int, ...], width: int) -> list[int]:
    return list(range(*part)) if _width(part) == width else [part[0]] * width


def alignment(teacher: tuple[Site, ...], student: tuple[Site, ...]) -> Alignment:
    return Alignment(name=PAIR, positions=ANY, pairs=(SitePair(name=PAIR, teacher=teacher, student=student),))


def pair_of(teacher: tuple[ResolvedSite, ...], student: tuple[ResolvedSite, ...]) -> ResolvedPair:
    return ResolvedPair(PAIR, teacher, student, ANY)


@dataclass(frozen=True)
class Masks:
    """The positions at which the release intervenes, and which of them are padding of the base."""

    drawn: Positions
    padded: Tensor

    @property
    def positions(self) -> Positions:
        """The numbers without what is written into padding of the base, which no real position ever reads."""
        return replace(self.drawn, valid=self.drawn.valid & ~self.padded.gather(1, self.drawn.base))


def step_batch(of_case: dict[str, Tensor], base: str, source: str) -> tuple[Batch, Masks]:
    """One step; `base` and `source` are the prefixes of their tensors. The masks stay with their names.

    Raises ValueError where a row's masks select different numbers of positions.
    """
    inputs, given = (
        {name: of_case[prefix + name] for name in ("input_ids", "attention_mask")} for prefix in (base, source)
    )
    drawn = Positions.from_masks(of_case["interchange_mask"].bool(), of_case["dual_interchange_mask"].bool())
    masks = Masks(drawn, ~inputs["attention_mask"].bool())
    return Batch(inputs, of_case[f"{base}lm_labels"], given, positions={PAIR: masks.positions}), masks
