"""The declaration of corresponding sites of a teacher and a student, in pyvene's vocabulary, as YAML or Python."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    StrictInt,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from causalkd.alignment.basis import Basis
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.errors import fault_lines, listed, read_yaml
from causalkd.files.strict_yaml import dump_text
from causalkd.models.hooks.hook_names import component_fault, read_hook_name


class Site(BaseModel):
    """One site in one model; the keys are those of pyvene's `RepresentationConfig`, and four of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    layer: StrictInt
    """Index of the block, from 0; left out if `component` is a TransformerLens hook name."""
    component: str = "block_output"
    """pyvene's component name, or a TransformerLens hook name such as `blocks.6.hook_resid_post`. `hook_attn_out` and
    `hook_mlp_out` are accepted for architectures in which TransformerLens means the output of the sublayer's last
    linear map."""
    unit: Literal["pos", "h.pos"] = "pos"
    """Positions, or positions of attention heads."""
    heads: tuple[StrictInt, ...] | None = None
    """The heads that are intervened on, with unit `h.pos`; None for all. Ours: pyvene takes them with each call."""
    subspace_partition: tuple[tuple[StrictInt, ...], ...] | None = None
    """Groups of columns of a unit (of one head, with `h.pos`): two numbers are a range `[start, stop]`, any other count
    lists columns."""
    subspaces: tuple[StrictInt, ...] | None = None
    """The groups of the partition that are intervened on; None for all. Ours: pyvene takes them with each call."""
    basis: Basis | None = None
    """Directions of the intervention, instead of columns; the rest stays base's. Ours: pyvene's are inside a module."""
    source: "Site | None" = None
    """The site where the source's activation is read, if not this one. Ours: reproduces the DIITO release."""

    @model_validator(mode="before")
    @classmethod
    def _translate_hook_name(cls, given: Any) -> Any:
        name = given.get("component") if isinstance(given, Mapping) else None
        hook = read_hook_name(name, given.get("unit")) if isinstance(name, str) else None
        if hook is None or given.get("layer", hook.layer) != hook.layer:
            return given
        return {**given, **hook._asdict()}

    @field_validator("component")
    @classmethod
    def _check_component(cls, component: str, info: Any) -> str:  # `Any`: pydantic's protocol cannot be checked
        fault = component_fault(component, info.data.get("layer"))
        if fault is not None:
            raise ValueError(fault)
        return component

    @model_serializer(mode="wrap")
    def _name_the_site(self, handler: Any) -> dict[str, Any]:
        """Writes layer, component and unit even where they are defaults."""
        return {"layer": self.layer, "component": self.component, "unit": self.unit, **handler(self)}


GRID = "grid:"
"""The prefix of the names of sites that are measured in addition to the declared pairs."""


class SitePair(BaseModel):
    """One named entry of an alignment: these sites of the teacher correspond to these of the student."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The unique name of the pair in the alignment, in logs, tables and reports."""
    teacher: tuple[Site, ...]
    """The teacher's sites; the intervention is on all of them, with one source."""
    student: tuple[Site, ...]
    """The student's sites; the intervention is on all of them, with one source."""
    positions: PositionPolicy | None = None
    """Overrides the alignment's position policy."""

    @field_validator("name")
    @classmethod
    def _is_no_grid(cls, name: str) -> str:
        if name.startswith(GRID):
            raise ValueError(f"{name!r} begins with {GRID!r}, which names sites that are not declared; leave that out")
        return name


class Alignment(BaseModel):
    """The declared correspondence between sites of a teacher and of a student.

    Example:
        >>> Alignment.from_yaml('''
        ... name: middle
        ... positions: {policy: consecutive, fraction: 0.3}
        ... pairs:
        ...   - name: middle
        ...     teacher: [{layer: 6, component: block_output, unit: pos}]
        ...     student: [{layer: 3, component: block_output, unit: pos}]
        ... ''').pairs[0].teacher[0].layer
        6
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The alignment's name in reports and file names."""
    positions: PositionPolicy
    """The policy of base and source positions, for every pair without its own."""
    pairs: tuple[SitePair, ...]
    """The pairs of sites that correspond; each has an intervention of its own."""

    @classmethod
    def from_yaml(cls, source: str | Path) -> "Alignment":
        """Read an alignment from a file or from YAML text.

        Raises:
            ValueError: Unknown keys or bad values; one line for each, with its path and the nearest valid name.
        """
        try:
            data = read_yaml(source)
        except ValueError as error:
            file = f" in {source}" if isinstance(source, Path) else ""
            raise ValueError(f"the alignment{file} cannot be read: {error}") from None
        if not isinstance(data, dict):
            file = f"{source}: " if isinstance(source, Path) else ""
            raise ValueError(f"{file}an alignment has the keys name, positions and pairs; {data!r} was given")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            where = f"alignment {data.get('name', '')!r}" + (f" in {source}" if isinstance(source, Path) else "")
            raise ValueError(listed(f"{where} cannot be read", fault_lines(error, cls), bullet="  ")) from None

    def to_yaml(self) -> str:
        """The alignment as YAML, without the keys that have their defaults; `from_yaml` reads it back unchanged."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        return dump_text(data, default_flow_style=None, width=120)

    def _repr_html_(self) -> str:
        """The display of a notebook: two stacks of layers with the pairs drawn between."""
        from causalkd.alignment.diagram import PairDrawing, diagram

        sides = (([(s.layer, s.component) for s in side] for side in (p.teacher, p.student)) for p in self.pairs)
        return diagram(self.name, [PairDrawing(pair.name, *side) for pair, side in zip(self.pairs, sides, strict=True)])

    @classmethod
    def from_pyvene(
        cls,
        teacher_config: Any,
        student_config: Any,
        *,
        name: str = "from_pyvene",
        positions: PositionPolicy | None = None,
    ) -> "Alignment":
        """Make an alignment of two pyvene configs; fields that pyvene cannot hold must be given, or added later.

        Sites with one `group_key` form a pair, in whatever order each config lists the groups. Groups that are
        interleaved, or that only one config has, are merged into one pair. Without group keys the k-th site of one
        config corresponds to the k-th of the other, or all to all if they have different numbers of sites. Names and
        dimensions, which pyvene derives when it builds an `IntervenableModel`, are not read, and neither is
        `max_number_of_units`: the position policy sets the number of positions. All groups of a partition are
        intervened on; pyvene takes the groups with each call, and without them replaces the whole unit.

        Args:
            teacher_config: A pyvene `IntervenableConfig`, or a value of its `representations`; never changed.
            student_config: The same for the student.
            name: The alignment's name.
            positions: The position policy; by default the paper's random spans of 0.3 of the row.

        Raises:
            ValueError: A config holds fields that an alignment cannot hold; the message lists them all.
        """
        from causalkd.alignment.pyvene.architectures import read_config

        faults: list[str] = []
        sides: list[_Keyed] = []
        for side, config in (("teacher_config", teacher_config), ("student_config", student_config)):
            plain = read_config(config)
            faults += [f"{side}.{fault}" for fault in plain.faults]
            read = [_read_site(fields, f"{side}.representations[{i}]") for i, fields in enumerate(plain.sites)]
            faults += [line for part in read if isinstance(part, list) for line in part]
            sites = tuple(part for part in read if isinstance(part, Site))
            sides.append(_Keyed(sites, plain.group_keys))
        if faults:
            headline = "these parts of a pyvene config cannot be carried by an alignment:"
            raise ValueError("\n  ".join([headline, *faults]))
        pairs = tuple(
            SitePair(name=f"pair_{number}", teacher=teacher, student=student)
            for number, (teacher, student) in enumerate(_pair_up(*sides))
        )
        policy = positions or PositionPolicy(policy="consecutive", fraction=0.3, maximum=None)
        return cls(name=name, positions=policy, pairs=pairs)

    def to_pyvene(self) -> tuple[Any, Any, tuple[str, ...]]:
        """The teacher's and the student's `IntervenableConfig`, and a line for each part that they leave out.

        This makes pyvene know every architecture that TransformerLens knows, so `pyvene.IntervenableModel` takes them.
        It intervenes on all pairs at once. If it could not separate the pairs otherwise, each becomes a pyvene group.
        Raises ValueError for `hook_attn_out` and `hook_mlp_out`, which go by architecture: a config knows none.
        """
        from causalkd.alignment.pyvene.architectures import teach_pyvene, write_config

        teach_pyvene()
        by_pair = self._needs_groups()
        teacher, student = (write_config(self._side(side, by_pair)) for side in ("teacher", "student"))
        return teacher, student, tuple(self._left_out())

    def policy(self, pair: SitePair) -> PositionPolicy:
        """The position policy of a pair: its own, or the alignment's."""
        return pair.positions or self.positions

    def policies(self) -> dict[str, PositionPolicy]:
        """The position policy of each pair, by the pair's name."""
        return {pair.name: self.policy(pair) for pair in self.pairs}

    def _side(self, side: Literal["teacher", "student"], by_pair: bool) -> list[dict[str, Any]]:
        """The fields of one model's sites, with the pair's number as group key if `by_pair`."""
        numbered = [(number, site) for number, pair in enumerate(self.pairs) for site in getattr(pair, side)]
        return [{**site.model_dump(), "group_key": number if by_pair else None} for number, site in numbered]

    def _needs_groups(self) -> bool:
        """Whether the order of the sites does not tell which pair each belongs to."""
        sides = (tuple(site for pair in self.pairs for site in getattr(pair, side)) for side in ("teacher", "student"))
        teacher, student = (_Keyed(sites, (None,) * len(sites)) for sites in sides)
        return _pair_up(teacher, student) != [(pair.teacher, pair.student) for pair in self.pairs]

    def _left_out(self) -> list[str]:
        lines = [f"name: {self.name}", f"positions: {_said(self.positions)}"]
        for number, pair in enumerate(self.pairs):
            path = f"pairs[{number}]"
            lines.append(f"{path}.name: {pair.name}")
            if pair.positions is not None:
                lines.append(f"{path}.positions: {_said(pair.positions)}")
            for side in ("teacher", "student"):
                for index, site in enumerate(getattr(pair, side)):
                    # Called without subspaces, pyvene replaces the whole unit.
                    groups = None if site.subspace_partition is None else tuple(range(len(site.subspace_partition)))
                    subspaces = groups if site.subspaces is None else site.subspaces
                    kept = {"heads": site.heads, "subspaces": subspaces, "source": site.source}
                    lines += [
                        f"{path}.{side}[{index}].{key}: {_said(value) if isinstance(value, Site) else list(value)}"
                        for key, value in kept.items()
                        if value is not None
                    ]
        return lines


def _said(part: PositionPolicy | Site) -> str:
    fields = part.model_dump(mode="json", exclude_defaults=True)
    if "basis" in fields:
        fields["basis"] = f"of {fields['basis']['rank']} directions"
    return ", ".join(f"{key} {value}" for key, value in fields.items())


def _read_site(fields: Mapping[str, object], path: str) -> Site | list[str]:
    try:
        return Site.model_validate(fields)
    except ValidationError as error:
        return fault_lines(error, Site, path)


class _Keyed(NamedTuple):
    """The sites of one pyvene config, and the group key of each."""

    sites: tuple[Site, ...]
    keys: tuple[Any, ...]


def _pair_up(teacher: _Keyed, student: _Keyed) -> list[tuple[tuple[Site, ...], tuple[Site, ...]]]:
    """The pairs that two lists of sites form by themselves: one per group, if no groups are interleaved."""
    keys = [list(dict.fromkeys(side.keys)) for side in (teacher, student)]
    if keys[0] == keys[1] == [None] and len(teacher.sites) == len(student.sites):
        return [((one,), (other,)) for one, other in zip(teacher.sites, student.sites, strict=True)]
    apart = all(
        list(side.keys) == sorted(side.keys, key=own.index) for side, own in zip((teacher, student), keys, strict=True)
    )
    if None in keys[0] or set(keys[0]) != set(keys[1]) or not apart:
        return [(teacher.sites, student.sites)]
    grouped = [
        [tuple(site for site, own in zip(*side, strict=True) if own == key) for key in keys[0]]
        for side in (teacher, student)
    ]
    return list(zip(*grouped, strict=True))
