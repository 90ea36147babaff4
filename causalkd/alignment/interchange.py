"""The interchange intervention: run base with a source's activations at some sites. Training and verification use it.

Definition: DIITO (Wu et al. 2022, section 3), after Geiger et al. 2021. Only the cost differs from two plain forwards:
blocks before the first site are taken from the base run, and a source is run no further than it is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.positions import Positions
from causalkd.models.hooks.forward import ForwardOutput, Inputs, SourceActivations
from causalkd.models.hooks.hook_functions import Hook
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel


def interchange(
    model: HookedModel,
    sites: Sequence[ResolvedSite],
    base: ForwardOutput | Inputs,
    source: SourceActivations | ForwardOutput | Inputs,
    positions: Positions,
    keep: Iterable[HookPoint] = (),
    logits_at: Int[Tensor, " item"] | None = None,
) -> ForwardOutput:
    """The counterfactual run: base, with the source's activations at the sites' selected positions.

    The k-th selected base position of a row receives the activation of the k-th selected source position of the same
    row. Several sites are intervened on in one run, each with the activation of the source's own plain run. Gradient
    flows through the base and the source (a teacher has none). With dropout on, everything before the first site keeps
    the base run's dropout, and everything after it draws its own. If the base is a run with reordered rows
    (`ForwardOutput.as_base`), row i has inside the first site's block the dropout of the run's original row i.

    Costs the blocks after the first site, including its own if it lies inside one, plus a forward for a base given as
    inputs, plus the blocks up to the last site that is read for a source given as inputs.

    Args:
        model: Teacher or student.
        sites: The sites to intervene on, in one model; not empty.
        base: Inputs, or a run of them that kept `hook_points_needed(model, sites)`.
        source: Inputs, or the source activations of a run of them at `hook_points_needed(model, sites)`.
        positions: The positions of each row.
        keep: Hook points whose counterfactual activations the returned run keeps; those before the first site, which
            are the base run's, a base given as a run must have kept.
        logits_at: As for `HookedModel.run`.

    Raises:
        ValueError: There are no sites, or they are another model's; a position is padding or written twice, base and
            source have different numbers of rows, a run lacks hook points that are needed, or the model is in a state
            in which hooks inside its blocks give wrong gradients.
    """
    _refuse_unsafe(model)
    _check_sites(model, sites)
    keep = tuple(keep)
    unchanged = _before_resuming(model, sites, keep)
    if not isinstance(base, ForwardOutput):
        base = model.run(base, (*hook_points_needed(model, sites), *unchanged), logits_at=logits_at)
    source_activations = _source_activations(model, sites, source)
    _check(model, sites, base, source_activations, positions, unchanged)
    intervened = [(site.hook_point, _replacement(site, source_activations, positions)) for site in sites]
    with _from_first_site(model, sites, base), model.hooks(intervened):
        run = model.run(
            base.inputs, (hook_point for hook_point in keep if hook_point not in unchanged), logits_at=logits_at
        )
    return replace(
        run, activations={**run.activations, **{hook_point: base.activations[hook_point] for hook_point in unchanged}}
    )


def hook_points_needed(model: HookedModel, sites: Iterable[ResolvedSite]) -> tuple[HookPoint, ...]:
    """The hook points that a run must keep to be the base or the source of an intervention at these sites.

    Raises:
        ValueError: There are no sites, or one that was not resolved in this model.
    """
    sites = tuple(sites)
    _check_sites(model, sites)
    resume = _resume_hook_point(model, sites)
    return tuple(dict.fromkeys([*([resume] if resume else []), *read_hook_points(sites)]))


def _check_sites(model: HookedModel, sites: Sequence[ResolvedSite]) -> None:
    """Names like `blocks.1` are the same in every model, but not the modules and widths that they denote."""
    if not sites:
        raise ValueError("there is no site to intervene on; give at least one")
    own = set(model.hook_points())
    for site in sites:
        if not isinstance(site, ResolvedSite):
            raise ValueError(f"{site!r} is not resolved; give resolve_site(site, model), or the sites of resolve(…)")
        for place in (site.hook_point, (site.source or site).hook_point):
            if place not in own:
                raise ValueError(
                    f"{place.name} ({place.module}, {place.width} wide) is no hook point of {model!r}; resolve the "
                    "site in the model that is intervened on"
                )


def read_hook_points(sites: Iterable[ResolvedSite]) -> list[HookPoint]:
    """The hook points where an intervention at these sites reads its source."""
    return list(dict.fromkeys((site.source or site).hook_point for site in sites))


def _first(sites: Iterable[ResolvedSite]) -> HookPoint:
    return min((site.hook_point for site in sites), key=lambda hook_point: hook_point.depth)


def _resume_hook_point(model: HookedModel, sites: Iterable[ResolvedSite]) -> HookPoint | None:
    """The last block boundary that no site changes; None if a site comes before every block."""
    first = _first(sites)
    if first.component == "token_embedding":
        return None
    return model.hook_point("block_input", first.layer) if first.is_inside else first


def _before_resuming(
    model: HookedModel, sites: Iterable[ResolvedSite], keep: Iterable[HookPoint]
) -> tuple[HookPoint, ...]:
    resume = _resume_hook_point(model, sites)
    return () if resume is None else tuple(hook_point for hook_point in keep if hook_point.depth < resume.depth)


@contextmanager
def _from_first_site(model: HookedModel, sites: Sequence[ResolvedSite], base: ForwardOutput) -> Iterator[None]:
    hook_point, site = _resume_hook_point(model, sites), _first(sites)
    if hook_point is None:
        yield
        return
    entry = hook_point.layer + (hook_point.component == "block_output")
    replay = _replayed_dropout(model, site, base) if _replays(model, site) else nullcontext()
    with model.resumed(entry, base.activations[hook_point]), replay:
        yield


def _replays(model: HookedModel, first: HookPoint) -> bool:
    # At a block boundary nothing random happens between the site and the resumed blocks.
    return model.training and first.is_inside


@contextmanager
def _replayed_dropout(model: HookedModel, site: HookPoint, base: ForwardOutput) -> Iterator[None]:
    """Dropout between the input of the site's block and the site repeats its draws of the base run."""
    fresh = model.generator_state()

    def replay(_: Tensor) -> None:
        model.set_generator_state(base.generator_states[site.layer])

    def resume(_: Tensor) -> None:
        model.set_generator_state(fresh)

    hooks: list[tuple[HookPoint, Hook]] = [(model.hook_point("block_input", site.layer), replay), (site, resume)]
    with model.hooks(hooks):
        yield


def _source_activations(
    model: HookedModel, sites: Sequence[ResolvedSite], source: SourceActivations | ForwardOutput | Inputs
) -> SourceActivations:
    if isinstance(source, SourceActivations):
        return source
    return (
        source.source_activations()
        if isinstance(source, ForwardOutput)
        else model.read(source, read_hook_points(sites))
    )


def _replacement(site: ResolvedSite, source_activations: SourceActivations, positions: Positions) -> Hook:
    read = site.source or site
    given = read.take(source_activations.activations[read.hook_point])

    def intervene(recipient: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos width"]:
        index, receives = _by_position(positions, recipient.shape[1])
        # Under autocast the activation of another hook point can have another type.
        donated = given.gather(1, index[..., None].expand(-1, -1, given.shape[2])).to(recipient.dtype)
        return torch.where(receives[..., None], site.put(recipient, donated), recipient)

    return intervene


def _by_position(positions: Positions, length: int) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """The source position that replaces each base position, and whether there is one.

    A dense map instead of an indexed write: filler never collides with a real write at position 0, and one `where`
    leaves all other values unchanged to the bit.
    """
    slots = positions.base.where(positions.valid, length)  # filler goes to a spare slot past the end
    index = slots.new_zeros(slots.shape[0], length + 1).scatter(1, slots, positions.source)
    receives = torch.zeros_like(index, dtype=torch.bool).scatter(1, slots, positions.valid)
    return index[:, :length], receives[:, :length]


def _check(
    model: HookedModel,
    sites: Sequence[ResolvedSite],
    base: ForwardOutput,
    source_activations: SourceActivations,
    positions: Positions,
    unchanged: Iterable[HookPoint],
) -> None:
    resume, first = _resume_hook_point(model, sites), _first(sites)
    of_base = [*([resume] if resume else []), *unchanged]
    lacking = [hook_point.name for hook_point in of_base if hook_point not in base.activations]
    lacking += [
        hook_point.name for hook_point in read_hook_points(sites) if hook_point not in source_activations.activations
    ]
    if lacking:
        raise ValueError(
            f"the given run kept no activation of {', '.join(dict.fromkeys(lacking))}; run it with "
            "keep=hook_points_needed(model, sites) and every hook point that `keep` names here, or give inputs"
        )
    if _replays(model, first) and first.layer not in base.generator_states:
        raise ValueError(
            f"dropout is on, but the base run knows no random state at the entry of block {first.layer}, so its "
            "dropout cannot be repeated; make the base run in train mode, or give inputs"
        )
    rows = [len(each) for each in (base.inputs["input_ids"], source_activations.attention_mask, positions.base)]
    if len(set(rows)) > 1:
        raise ValueError(
            f"base has {rows[0]} rows, source {rows[1]}, positions {rows[2]}; each row of base takes one row of source"
        )
    # On an accelerator this would stall the queue at every step; the collator has checked these positions on the host.
    if positions.base.device.type == "cpu" and not positions.is_checked:
        positions.check(base.inputs["attention_mask"].bool(), source_activations.attention_mask.bool())


def _refuse_unsafe(model: HookedModel) -> None:
    if model.training and getattr(model.model.config, "layerdrop", 0.0) > 0:
        raise ValueError(
            f"layerdrop is {model.model.config.layerdrop}, so a training forward may leave a site out; set it to 0"
        )
