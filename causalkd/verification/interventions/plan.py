"""The comparisons of teacher sites with student sites: the declared pairs, and the layer grid of a component."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import GRID, Site
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.hooks.hook_names import tensor_of
from causalkd.models.hooks.hook_points import COMPONENTS, absent
from causalkd.models.hooks.hooked_model import HookedModel

_ORTHOGONAL = 1e-4  # float32 directions with a smaller product count as orthogonal


@dataclass(frozen=True, eq=False)
class Intervention:
    """One intervention in one model. Equal interventions share their counterfactual runs."""

    sites: tuple[ResolvedSite, ...]
    positions: str
    """Name of the declared pair whose positions are used."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervention) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[object, ...]:
        """The positions, and the hook points and parts that each site writes and reads."""
        each = [part for site in self.sites for part in (site, site.source or site)]
        return (self.positions, *((part.hook_point, _part(part)) for part in each))


@dataclass(frozen=True)
class Comparison:
    """One teacher intervention compared with one student intervention; its fields identify a report row."""

    pair: str
    component: str
    unit: str
    head: int | None
    teacher_layer: int
    student_layer: int
    aligned: bool
    """Whether a trained pair writes, in both models, to a part of a tensor that these interventions write to, at any
    positions."""
    teacher: Intervention
    student: Intervention
    wrong_layer: Intervention | None = None
    """The student's intervention half its depth away; None where it has only one layer, or the site has no layer."""
    shuffled: Intervention | None = None
    """The student's intervention of the next declared pair that writes elsewhere; None for a grid comparison, or if
    there is no such pair."""
    student_head: int | None = None


def plan(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    component: str | None,
    trained: Collection[str] | None,
) -> tuple[Comparison, ...]:
    """Every comparison to measure: a grid for each distinct position policy, and the declared pairs outside the
    grids.

    Args:
        teacher: The model whose layers are the rows of a grid.
        student: The model whose layers are the columns of a grid.
        alignment: The alignment whose pairs are measured, and whose policies give the positions of the grids.
        component: The whole component that a grid intervenes on in every layer; None for no grid.
        trained: Names of the pairs that were in an objective; None means all of them.

    Raises:
        ValueError: The component or a trained pair does not exist.
    """
    names = [pair.name for pair in alignment.pairs]
    faults = [
        f"trained pair {name!r} is not declared; the alignment has {names}"
        for name in trained or ()
        if name not in names
    ]
    if component is not None and component not in COMPONENTS:
        close = difflib.get_close_matches(component, COMPONENTS, n=1, cutoff=0)
        faults.append(f"component {component!r} does not exist; did you mean {close[0]}?")
    if faults:
        raise ValueError("\n".join(faults))
    declared = [(pair, trained is None or pair.name in trained) for pair in alignment.pairs]
    grids: list[ResolvedPair] = []
    for pair in alignment.pairs:
        if all(pair.policy != grid.policy for grid in grids):
            grids.append(pair)
    comparisons = (
        [comparison for grid in grids for comparison in _grid(teacher, student, grid, component, declared)]
        if component
        else []
    )
    in_grid = {comparison.pair for comparison in comparisons}
    own = [
        _own_comparison(student, alignment, pair, _is_aligned(pair.teacher, pair.student, declared))
        for pair in alignment.pairs
        if pair.name not in in_grid
    ]
    return tuple(replace(comparison, shuffled=_shuffled(alignment, comparison)) for comparison in (*comparisons, *own))


def _grid(
    teacher: HookedModel,
    student: HookedModel,
    grid: ResolvedPair,
    component: str,
    declared: list[tuple[ResolvedPair, bool]],
) -> list[Comparison]:
    """The grid comparisons of one policy; a declared pair that equals a comparison gives it its name."""
    comparisons = []
    columns = layer_interventions(student, component, grid.name)
    for t, teacher_intervention in layer_interventions(teacher, component, grid.name).items():
        for s, student_intervention in columns.items():
            exact = [
                pair.name for pair, _ in declared if pair.policy == grid.policy and _is_in_grid(pair, component, t, s)
            ]
            aligned = _is_aligned(teacher_intervention.sites, student_intervention.sites, declared)
            name = exact[0] if exact else f"{GRID}{grid.name}"
            wrong = columns.get(_wrong_layer(student, s)) if len(columns) > 1 else None
            comparisons.append(
                Comparison(
                    name, component, "pos", None, t, s, aligned, teacher_intervention, student_intervention, wrong
                )
            )
    return comparisons


def check_component(model: HookedModel, component: str) -> None:
    """Refuses a component that no layer of a model has.

    Raises:
        ValueError: No layer has it; the message lists the components that exist.
    """
    if all(hook_point.component != component for hook_point in model.hook_points()):
        raise ValueError(absent(component, 0, model.architecture, model.hook_points()))


def layer_interventions(model: HookedModel, component: str, positions: str) -> dict[int, Intervention]:
    """The intervention on a whole component at the positions of one pair, by layer."""
    hook_points = [hook_point for hook_point in model.hook_points() if hook_point.component == component]
    return {hook_point.layer: Intervention((ResolvedSite(hook_point),), positions) for hook_point in hook_points}


def declared_interventions(alignment: ResolvedAlignment) -> dict[str, tuple[Intervention, Intervention]]:
    """The teacher's and the student's intervention of each declared pair, by its name."""
    positions = pairs_of_positions(alignment.alignment.policies())
    return {
        pair.name: (Intervention(pair.teacher, positions[pair.name]), Intervention(pair.student, positions[pair.name]))
        for pair in alignment.pairs
    }


def pairs_of_positions(policies: Mapping[str, PositionPolicy]) -> dict[str, str]:
    """For each declared pair, the first pair with the same policy, whose positions it uses."""
    first: dict[PositionPolicy, str] = {}
    return {name: first.setdefault(policy, name) for name, policy in policies.items()}


def _wrong_layer(student: HookedModel, layer: int) -> int:
    return (layer + student.n_layers // 2) % student.n_layers


def _moved(student: HookedModel, intervention: Intervention) -> Intervention | None:
    """The student's intervention half its depth away, every site in the same component and columns."""
    if student.n_layers == 1 or any(site.hook_point.component == "token_embedding" for site in intervention.sites):
        return None

    def move(site: ResolvedSite) -> ResolvedSite:
        hook_point = student.hook_point(site.hook_point.component, _wrong_layer(student, site.hook_point.layer))
        return replace(site, hook_point=hook_point, source=None if site.source is None else move(site.source))

    return Intervention(tuple(move(site) for site in intervention.sites), intervention.positions)


def _shuffled(alignment: ResolvedAlignment, comparison: Comparison) -> Intervention | None:
    """The next declared pair's student sites, at the positions of this comparison."""
    names = [pair.name for pair in alignment.pairs]
    if comparison.pair not in names:
        return None
    turn = names.index(comparison.pair) + 1
    own = _written(comparison.student.sites)
    for pair in (*alignment.pairs[turn:], *alignment.pairs[: turn - 1]):
        if _written(pair.student) != own:
            return Intervention(pair.student, comparison.student.positions)
    return None


def _written(sites: tuple[ResolvedSite, ...]) -> set[tuple[str, bytes]]:
    """The hook point that an intervention writes to, and the part of it."""
    return {(site.hook_point.name, _part(site)) for site in sites}


def _part(site: ResolvedSite) -> bytes:
    """The bytes of the part of its hook point that a site takes; equal for equal parts."""
    part = site.columns if site.basis is None else site.basis
    return b"" if part is None else part.cpu().numpy().tobytes()


def _own_comparison(
    student: HookedModel, alignment: ResolvedAlignment, pair: ResolvedPair, aligned: bool
) -> Comparison:
    site = next(spec for spec in alignment.alignment.pairs if spec.name == pair.name).teacher[0]
    of_teacher, of_student = declared_interventions(alignment)[pair.name]
    hook_point = pair.teacher[0].hook_point
    layers = (hook_point.layer, pair.student[0].hook_point.layer)
    moved = _moved(student, of_student)
    return Comparison(
        pair.name, hook_point.component, site.unit, _only_head(site), *layers, aligned, of_teacher, of_student, moved
    )


def _only_head(site: Site) -> int | None:
    return site.heads[0] if site.heads is not None and len(site.heads) == 1 else None


def _is_in_grid(pair: ResolvedPair, component: str, teacher_layer: int, student_layer: int) -> bool:
    """Whether the pair is one whole hook point per model, read at the site where it is written."""
    sites_of_layers = ((pair.teacher, teacher_layer), (pair.student, student_layer))
    return all(
        len(sites) == 1
        and sites[0].is_whole
        and sites[0].source is None
        and (sites[0].hook_point.component, sites[0].hook_point.layer) == (component, layer)
        for sites, layer in sites_of_layers
    )


def _is_aligned(
    teacher: Sequence[ResolvedSite], student: Sequence[ResolvedSite], declared: list[tuple[ResolvedPair, bool]]
) -> bool:
    """Whether a trained pair writes, in both models, to a part of a tensor that these sites write to."""
    return any(was and _meet(pair.teacher, teacher) and _meet(pair.student, student) for pair, was in declared)


def _meet(some: Sequence[ResolvedSite], others: Sequence[ResolvedSite]) -> bool:
    """Whether a site of each have a part of a tensor in common."""
    return any(_overlap(one, other) for one in some for other in others)


def _overlap(one: ResolvedSite, other: ResolvedSite) -> bool:
    tensors = [tensor_of(site.hook_point.component, site.hook_point.layer) for site in (one, other)]
    if tensors[0] != tensors[1] or one.is_whole or other.is_whole:
        return tensors[0] == tensors[1]
    first, second = (site.take(torch.eye(site.hook_point.width)) for site in (one, other))
    return bool((first.T @ second).abs().max() > _ORTHOGONAL)
