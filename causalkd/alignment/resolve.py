"""Resolve an alignment against two real models: resolved sites, or one error that lists every fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.alignment.resolved_site import ResolvedSite, overlap
from causalkd.alignment.spec import Alignment, Site
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.fitting_models import check_order
from causalkd.models.hooks.hook_names import component_of, nearest_tensor
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint, absent, by_layer
from causalkd.models.hooks.hooked_model import HookedModel

_BY_HEAD = "head_attention_value_output"


@dataclass(frozen=True, eq=False)
class ResolvedPair:
    """A pair whose sites exist in both models, with the policy that draws its positions."""

    name: str
    teacher: tuple[ResolvedSite, ...]
    student: tuple[ResolvedSite, ...]
    policy: PositionPolicy


@dataclass(frozen=True, eq=False)
class ResolvedAlignment:
    """An alignment that fits two models."""

    alignment: Alignment
    pairs: tuple[ResolvedPair, ...]

    def table(self) -> str:
        """One line per site: pair, model, hook point, module, width, selected columns, and position policy."""
        rows = [("pair", "model", "hook point", "module", "width", "columns", "positions")]
        for pair in self.pairs:
            for side, sites in (("teacher", pair.teacher), ("student", pair.student)):
                for site in sites:
                    rows.append((pair.name, side, *_cells(site), _policy_text(pair.policy)))
                    if site.source is not None:
                        rows.append(("", "  reads source at", *_cells(site.source), ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def resolve(alignment: Alignment, teacher: HookedModel, student: HookedModel) -> ResolvedAlignment:
    """Resolve the alignment's sites in these two models.

    Raises:
        ValueError: Something does not fit; every fault is a line, with its path and the nearest valid name. Or teacher
            and student are reversed.
    """
    check_order(teacher, student)
    faults = _name_faults(alignment)
    pairs: list[ResolvedPair] = []
    for number, pair in enumerate(alignment.pairs):
        sides: list[tuple[ResolvedSite, ...]] = []
        for side, sites, model in (("teacher", pair.teacher, teacher), ("student", pair.student, student)):
            path = f"pairs[{number}].{side}"
            resolved = [_resolve(site, model, f"{path}[{index}]", faults) for index, site in enumerate(sites)]
            sides.append(tuple(site for site in resolved if site is not None))
            faults += _side_faults(sides[-1], path) if sites else [f"{path}: no site; give at least one"]
        pairs.append(ResolvedPair(pair.name, sides[0], sides[1], alignment.policy(pair)))
    if faults:
        raise ValueError(
            f"alignment {alignment.name!r} does not fit this teacher ({_described(teacher)}) and student "
            f"({_described(student)}):\n" + "\n".join(f"  {fault}" for fault in faults)
        )
    return ResolvedAlignment(alignment, tuple(pairs))


def resolve_site(site: Site, model: HookedModel) -> ResolvedSite:
    """Resolve one site in one model.

    Raises:
        ValueError: Something does not fit; every fault is a line.
    """
    faults: list[str] = []
    resolved = _resolve(site, model, "site", faults)
    if resolved is None:
        raise ValueError("\n".join(faults))
    return resolved


def _described(model: HookedModel) -> str:
    return f"{model.architecture}, layers 0–{model.n_layers - 1}, width {model.width}, {model.n_heads} heads"


def _name_faults(alignment: Alignment) -> list[str]:
    names = [pair.name for pair in alignment.pairs]
    faults = [
        f"pairs[{number}].name: {name!r} is the name of pairs[{names.index(name)}] too; names are unique"
        for number, name in enumerate(names)
        if names.index(name) < number
    ]
    return faults if names else ["pairs: no pair; give at least one"]


def _resolve(site: Site, model: HookedModel, path: str, faults: list[str]) -> ResolvedSite | None:
    """The resolved site; or None, with the faults appended to `faults`."""
    found: list[str] = []
    hook_point = _find_hook_point(site, model, found)
    found += _unit_faults(site)
    if hook_point is not None:
        heads = hook_point.heads if site.component == _BY_HEAD else 1
        if hook_point.width % heads:
            found.append(f"{heads} heads do not divide the width {hook_point.width} of {hook_point.name}")
        found += (
            _head_faults(site, heads)
            + _partition_faults(site, hook_point.width // heads)
            + _basis_faults(site, hook_point)
        )
    found = [f"{path}: {fault}" for fault in found]
    source = None
    if site.source is not None:
        if site.source.source is not None:
            found.append(f"{path}.source: has a source of its own; a source's activation is read at one site")
        source = _resolve(site.source, model, f"{path}.source", found)
    if found or hook_point is None:
        faults += found
        return None
    basis = None if site.basis is None else torch.from_numpy(site.basis.columns()).to(model.model.device)
    resolved = ResolvedSite(hook_point, _columns(site, hook_point), source, basis)
    if source is not None and source.count != resolved.count:
        faults.append(
            f"{path}.source: {source.hook_point.name} gives {source.count} columns, but {resolved.count} columns of "
            f"{hook_point.name} are written; choose as many"
        )
        return None
    return resolved


def _find_hook_point(site: Site, model: HookedModel, faults: list[str]) -> HookPoint | None:
    try:
        component = component_of(site.component, site.layer, model.hook_points(), model.architecture)
    except ValueError as error:
        faults.append(str(error))
        return None
    if component not in COMPONENTS:
        faults.append(f"component {component!r} is not supported here; {nearest_tensor(component)}")
        return None
    found = by_layer(component, model.hook_points())
    if not found:
        faults.append(f"{model.architecture} has no {component}; name another component")
        return None
    if site.layer not in found:
        close = found[min(found, key=lambda layer: abs(layer - site.layer))]
        where = absent(component, site.layer, model.architecture, model.hook_points())
        faults.append(f"{where}; did you mean layer {close.layer} ({close.name})?")
    return found.get(site.layer)


def _unit_faults(site: Site) -> list[str]:
    if site.component == _BY_HEAD and site.unit != "h.pos":
        return [f"{_BY_HEAD} is split by heads; write unit: h.pos, or component: attention_value_output"]
    faults = []
    if site.component != _BY_HEAD and site.unit == "h.pos":
        faults.append(
            f"unit h.pos needs a component that is split by heads, which {site.component} is not; use {_BY_HEAD}"
        )
    elif site.unit != "h.pos" and site.heads is not None:
        faults.append(f"heads {list(site.heads)} given with unit {site.unit}; use {_BY_HEAD} and unit: h.pos")
    return faults


def _head_faults(site: Site, heads: int) -> list[str]:
    if site.heads is None or site.unit != "h.pos":
        return []
    return _index_faults("heads", site.heads, heads)


def _index_faults(key: str, given: Sequence[int], count: int) -> list[str]:
    wrong = [index for index in given if not 0 <= index < count]
    faults = [f"{key} {wrong} do not exist; there are {key} 0–{count - 1}"] if wrong else []
    if len(set(given)) < len(given):
        faults.append(f"{key} {list(given)} names one twice; give each once")
    return faults if given else [f"{key} is empty; name at least one, or leave the key out for all"]


def _partition_faults(site: Site, width: int) -> list[str]:
    if site.subspace_partition is None:
        return (
            []
            if site.subspaces is None
            else ["subspaces given without subspace_partition, which they count; give both"]
        )
    faults = [] if site.subspace_partition else ["subspace_partition is empty; give at least one [start, stop]"]
    for part in site.subspace_partition:
        if len(part) == 2 and part[0] >= part[1]:
            faults.append(f"subspace_partition {list(part)} is empty; start lies before stop, which is not included")
        elif not part or min(part) < 0 or max(_part_columns(part)) >= width:
            where = f"one head, {width} columns" if site.unit == "h.pos" else f"{width} columns"
            faults.append(f"subspace_partition {list(part)} lies outside {site.component} ({where}: [0, {width}])")
    columns = sorted(column for part in site.subspace_partition for column in _part_columns(part))
    shared = sorted({column for column, following in pairwise(columns) if column == following})
    if shared:
        faults.append(f"subspace_partition overlaps in columns {_ranges(shared)}; a column belongs to one subspace")
    if site.subspaces is not None and site.subspace_partition:
        faults += _index_faults("subspaces", site.subspaces, len(site.subspace_partition))
    return faults


def _basis_faults(site: Site, hook_point: HookPoint) -> list[str]:
    if site.basis is None:
        return []
    parts = [key for key in ("heads", "subspace_partition", "subspaces") if getattr(site, key) is not None]
    spans = f"basis given with {', '.join(parts)}; it spans directions of the whole activation, so leave those out"
    faults = [spans] if parts else []
    if site.unit == "h.pos":
        faults.append("basis given with unit h.pos; it spans all heads, so write component: attention_value_output")
    if site.basis.width != hook_point.width:
        faults.append(
            f"basis has directions of {site.basis.width} numbers; {hook_point.name} has {hook_point.width} columns"
        )
    return faults


def _part_columns(part: tuple[int, ...]) -> Sequence[int]:
    """The columns of one group, as pyvene reads it: two numbers are a range, any other count lists columns."""
    return range(*part) if len(part) == 2 else part


def _columns(site: Site, hook_point: HookPoint) -> Int[Tensor, " n"] | None:
    if site.heads is None and site.subspace_partition is None:
        return None
    total = hook_point.heads if site.unit == "h.pos" else 1
    width = hook_point.width // total
    parts = site.subspace_partition or ((0, width),)
    chosen = range(len(parts)) if site.subspaces is None else site.subspaces
    inside = [column for index in chosen for column in _part_columns(parts[index])]
    heads = range(total) if site.heads is None else site.heads
    return torch.tensor([head * width + column for head in heads for column in inside])


def _side_faults(sites: tuple[ResolvedSite, ...], path: str) -> list[str]:
    """Refuses sites of one model that write the same columns or directions, which no intervention can do."""
    faults = []
    for index, site in enumerate(sites):
        for other in sites[:index]:
            if overlap(site, other):
                shared = f"columns {_ranges(sorted(set(_column_list(site)) & set(_column_list(other))))}"
                shared = "directions that are not orthogonal" if site.basis is not other.basis else shared
                faults.append(f"{path}: two sites write {shared} of {site.hook_point.name}; keep one of them")
    return faults


def _column_list(site: ResolvedSite) -> list[int]:
    return list(range(site.hook_point.width)) if site.columns is None else site.columns.tolist()


def _cells(site: ResolvedSite) -> tuple[str, str, str, str]:
    hook_point = site.hook_point
    taken = "all" if site.is_whole else _ranges(_column_list(site))
    return (
        hook_point.name,
        hook_point.module,
        str(hook_point.width),
        taken if site.basis is None else f"{site.count} directions",
    )


def _ranges(columns: Sequence[int]) -> str:
    """`0–7, 12` for columns 0 to 7 and 12, in the order given."""
    runs: list[list[int]] = []
    for column in columns:
        if runs and column == runs[-1][-1] + 1:
            runs[-1].append(column)
        else:
            runs.append([column])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _policy_text(policy: PositionPolicy) -> str:
    given = policy.model_dump(mode="json", exclude_defaults=True, exclude={"policy"})
    return ", ".join([policy.policy, *(f"{key} {value}" for key, value in given.items())])
