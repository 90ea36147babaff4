"""The comparisons of teacher sites with student sites: the declared pairs, and the layer grid of a component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite, overlap, write_the_same
from causalkd.alignment.spec import GRID, Site
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.hooks.hook_names import nearest_tensor
from causalkd.models.hooks.hook_points import COMPONENTS, absent, by_layer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.results.interchange_rows import SiteKind


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
    kind: SiteKind
    """`aligned` for a declared pair; see `InterchangeRow` for the others."""
    teacher: Intervention
    student: Intervention
    wrong_layer: Intervention | None = None
    """The student's intervention about half its depth away; None where there is no place that is another one for every
    site.
    """
    shuffled: Intervention | None = None
    """The student's intervention of the next declared pair that writes to something else; None for a grid comparison,
    or where there is none.
    """
    student_head: int | None = None


def plan(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    component: str | None,
) -> tuple[Comparison, ...]:
    """Every comparison to measure: a grid for each distinct position policy, and the declared pairs outside the
    grids.

    Args:
        teacher: The model whose layers are the rows of a grid.
        student: The model whose layers are the columns of a grid.
        alignment: The alignment whose pairs are measured, and whose policies give the positions of the grids.
        component: The whole component that a grid intervenes on in every layer; None for no grid.

    Raises:
        ValueError: The component does not exist.
    """
    if component is not None and component not in COMPONENTS:
        raise ValueError(f"component {component!r} does not exist; {nearest_tensor(component)}")
    grids: list[ResolvedPair] = []
    for pair in alignment.pairs:
        if all(pair.policy != grid.policy for grid in grids):
            grids.append(pair)
    comparisons = (
        [comparison for grid in grids for comparison in _grid(teacher, student, grid, component, alignment.pairs)]
        if component
        else []
    )
    in_grid = {comparison.pair for comparison in comparisons}
    own = [_own_comparison(student, alignment, pair) for pair in alignment.pairs if pair.name not in in_grid]
    return tuple(replace(comparison, shuffled=_shuffled(alignment, comparison)) for comparison in (*comparisons, *own))


def _grid(
    teacher: HookedModel,
    student: HookedModel,
    grid: ResolvedPair,
    component: str,
    declared: Sequence[ResolvedPair],
) -> list[Comparison]:
    """The grid comparisons of one policy; a declared pair that equals a comparison gives it its name."""
    comparisons = []
    columns = layer_interventions(student, component, grid.name)
    moved = {layer: _moved(student, intervention) for layer, intervention in columns.items()}
    for t, teacher_intervention in layer_interventions(teacher, component, grid.name).items():
        for s, student_intervention in columns.items():
            exact = [
                pair.name for pair in declared if pair.policy == grid.policy and _is_in_grid(pair, component, t, s)
            ]
            kind = "aligned" if exact else undeclared(teacher_intervention.sites, student_intervention.sites, declared)
            name = exact[0] if exact else f"{GRID}{grid.name}"
            both = (teacher_intervention, student_intervention)
            comparisons.append(Comparison(name, component, "pos", None, t, s, kind, *both, moved[s]))
    return comparisons


def check_component(model: HookedModel, component: str) -> None:
    """Refuses a component that no layer of a model has.

    Raises:
        ValueError: No layer has it; the message lists the components that exist.
    """
    if not by_layer(component, model.hook_points()):
        raise ValueError(absent(component, 0, model.architecture, model.hook_points()))


def layer_interventions(model: HookedModel, component: str, positions: str) -> dict[int, Intervention]:
    """The intervention on a whole component at the positions of one pair, by layer."""
    found = by_layer(component, model.hook_points())
    return {layer: Intervention((ResolvedSite(hook_point),), positions) for layer, hook_point in found.items()}


def declared_interventions(alignment: ResolvedAlignment) -> dict[str, tuple[Intervention, Intervention]]:
    """The teacher's and the student's intervention of each declared pair, by its name."""
    positions = pairs_of_positions(alignment.alignment.policies())
    return {
        pair.name: (Intervention(pair.teacher, positions[pair.name]), Intervention(pair.student, positions[pair.name]))
        for pair in alignment.pairs
    }


def pairs_of_positions(policies: Mapping[str, PositionPolicy]) -> dict[str, str]:
    """The first pair with the same policy as each declared pair, whose positions that pair uses."""
    first: dict[PositionPolicy, str] = {}
    return {name: first.setdefault(policy, name) for name, policy in policies.items()}


def _moved(student: HookedModel, intervention: Intervention) -> Intervention | None:
    """The student's intervention half its depth away, every site in the same component and columns; or as near to that
    as there is a place for every site, none of which meets an own one.
    """
    if any(site.hook_point.component == "token_embedding" for site in intervention.sites):
        return None
    half = student.n_layers // 2
    for shift in sorted(range(1, student.n_layers), key=lambda each: abs(each - half)):
        sites = [_shifted(student, site, shift) for site in intervention.sites]
        there = tuple(site for site in sites if site is not None)
        if len(there) == len(sites) and not _meet(there, intervention.sites):
            return Intervention(there, intervention.positions)
    return None


def _shifted(student: HookedModel, site: ResolvedSite, shift: int) -> ResolvedSite | None:
    """The site so many layers on, from the last on to the first; None where no such layer has its component."""
    there = by_layer(site.hook_point.component, student.hook_points())
    hook_point = there.get((site.hook_point.layer + shift) % student.n_layers)
    source = None if site.source is None else _shifted(student, site.source, shift)
    if hook_point is None or (source is None and site.source is not None):
        return None
    return replace(site, hook_point=hook_point, source=source)


def _shuffled(alignment: ResolvedAlignment, comparison: Comparison) -> Intervention | None:
    """The next declared pair's student sites, at the positions of this comparison."""
    names = [pair.name for pair in alignment.pairs]
    if comparison.pair not in names:
        return None
    turn = names.index(comparison.pair) + 1
    for pair in (*alignment.pairs[turn:], *alignment.pairs[: turn - 1]):
        if not write_the_same(pair.student, comparison.student.sites):
            return Intervention(pair.student, comparison.student.positions)
    return None


def _part(site: ResolvedSite) -> bytes:
    """The bytes of the part of its hook point that a site takes; equal for equal parts."""
    part = site.columns if site.basis is None else site.basis
    return b"" if part is None else part.cpu().numpy().tobytes()


def _own_comparison(student: HookedModel, alignment: ResolvedAlignment, pair: ResolvedPair) -> Comparison:
    site = next(spec for spec in alignment.alignment.pairs if spec.name == pair.name).teacher[0]
    of_teacher, of_student = declared_interventions(alignment)[pair.name]
    hook_point = pair.teacher[0].hook_point
    layers = (hook_point.layer, pair.student[0].hook_point.layer)
    moved = _moved(student, of_student)
    return Comparison(
        pair.name, hook_point.component, site.unit, _only_head(site), *layers, "aligned", of_teacher, of_student, moved
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


def undeclared(
    teacher: Sequence[ResolvedSite], student: Sequence[ResolvedSite], declared: Sequence[ResolvedPair]
) -> SiteKind:
    """The kind of a comparison that no pair declares: whether a pair writes, in both models, to something that these
    sites write to, alone or among others, at whatever positions.
    """
    touched = any(_meet(pair.teacher, teacher) and _meet(pair.student, student) for pair in declared)
    return "touched" if touched else "other"


def _meet(some: Sequence[ResolvedSite], others: Sequence[ResolvedSite]) -> bool:
    """Whether a site of each have a part of one tensor in common."""
    return any(overlap(one, other) for one in some for other in others)
