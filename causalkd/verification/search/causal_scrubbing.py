"""Causal scrubbing: does a hypothesis about which places carry which variables explain what a model does?

A hypothesis says, for some depths, which variables each segment of a row carries there; what it does not name carries
nothing that matters. A row is scrubbed by replacing, at the last of these depths, every segment by the same segment of
another row that agrees with it in the variables named, and everything else by that of any one row. The rows that agree
are themselves scrubbed at the depths before, in so far as the variables they were chosen for have causes there. So
whatever the hypothesis calls irrelevant is resampled, and if it is right the model does as well as before.

Source: Chan et al. 2022, "Causal scrubbing: a method for rigorously testing interpretability hypotheses": the recursive
resampling, and the share of the loss that is recovered.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Example, pad
from causalkd.data.positions import Positions
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import ForwardOutput, Inputs, SourceActivations
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel

Rows = Int[np.ndarray, "rows"]


@dataclass(frozen=True)
class Depth:
    """What a hypothesis says of one depth."""

    layer: int
    carries: Mapping[str, tuple[str, ...]]
    """By segment, the variables whose values it carries; any other token carries nothing that matters."""
    component: str = "block_output"
    """`block_output`, or `block_input` for what enters the layer."""


@dataclass(frozen=True)
class Scrubbed:
    """Mean losses in nats."""

    clean: float
    """Of the model as it is."""
    scrubbed: float
    """Of its answers to scrubbed rows."""
    random: float
    """Of its answers to other rows, drawn at random."""
    rows: int

    @property
    def recovered(self) -> float | None:
        """1 where scrubbing costs nothing, 0 where a random row does as well; None where the model only guesses."""
        gained = self.random - self.clean
        return (self.random - self.scrubbed) / gained if gained > 0 else None


@dataclass(frozen=True, eq=False)
class PlantedRows:
    """Rows of a planted task, all of one length and with the same segments, and what its causal model says of them."""

    examples: Sequence[Example]
    values: Sequence[Mapping[str, int]]
    """The value of every variable of each row."""
    causes: Mapping[str, Sequence[str]]
    """The variables that each variable is computed from; none for an input."""
    labels: Sequence[int]

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        variables: Callable[[dict[str, Any]], Mapping[str, int]],
        causes: Mapping[str, Sequence[str]],
    ) -> "PlantedRows":
        """Asks the causal model, such as `PlantedNLI().variables`, about every row; its `label` is the right answer."""
        values = [variables(dict(example)) for example in examples]
        return cls(examples, values, causes, [int(each["label"]) for each in values])

    def ancestors(self, names: Set[str]) -> frozenset[str]:
        """These variables, and all that they depend on."""
        above = {cause for name in names for cause in self.causes.get(name, ())}
        return frozenset(names) if above <= names else self.ancestors(names | above)


def scrub(
    model: HookedModel, hypothesis: Sequence[Depth], planted: PlantedRows, *, rows: int = 500, seed: int = 0
) -> Scrubbed:
    """Tests a hypothesis on rows drawn from those of a planted task.

    Costs, for each row and segment that carries something, two forwards at the first depth, and as many at each further
    one as all that it replaces.

    Args:
        model: A classifier with the labels of the causal model.
        hypothesis: What it says of each depth, the first one first.
        planted: Where rows and those that stand in for them come from.
        rows: How many are scrubbed.
        seed: Of every draw.

    Raises:
        ValueError: The model is no classifier, rows differ in length or segments, or the hypothesis names what does not
            exist; says all of it.
    """
    places = _check(model, hypothesis, planted)
    scrubbing = _Scrubbing(model, tuple(hypothesis), places, planted, np.random.default_rng(seed))
    chosen, others = scrubbing.draw(rows), scrubbing.draw(rows)
    answers = torch.tensor(np.asarray(planted.labels)[chosen])
    with torch.no_grad(), evaluating([model]):
        clean = _loss(scrubbing.plain(chosen), answers)
        scrubbed = _loss(scrubbing.scrubbed(chosen, len(hypothesis)), answers)
        return Scrubbed(clean, scrubbed, _loss(scrubbing.plain(others), answers), rows)


@dataclass(frozen=True, eq=False)
class _Scrubbing:
    """A model, a hypothesis, and one stream of draws."""

    model: HookedModel
    hypothesis: tuple[Depth, ...]
    places: tuple[HookPoint, ...]
    planted: PlantedRows
    random: np.random.Generator

    def draw(self, rows: int) -> Rows:
        """Any rows."""
        return self.random.integers(len(self.planted.examples), size=rows)

    def plain(self, rows: Rows, keep: Sequence[HookPoint] = ()) -> ForwardOutput:
        """The model as it is."""
        return self.model.run(self._inputs(rows), keep)

    def scrubbed(
        self, rows: Rows, depths: int, keep: Sequence[HookPoint] = (), relevant: Set[str] | None = None
    ) -> ForwardOutput:
        """The model with its rows scrubbed at the first so many depths.

        Args:
            rows: Which.
            depths: How many.
            keep: Places after the last of these depths whose activations are kept.
            relevant: The variables that rows must keep; None for all that are named.
        """
        if depths == 0:
            return self.plain(rows, keep)
        place = self.places[depths - 1]
        inputs, state = self._inputs(rows), self._state(rows, depths - 1, relevant)
        everything = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
        positions = Positions(everything, everything, torch.ones_like(everything, dtype=torch.bool))
        source_activations = SourceActivations({place: state}, inputs["attention_mask"])
        return interchange(self.model, [ResolvedSite(place)], inputs, source_activations, positions, keep)

    def _state(self, rows: Rows, depth: int, relevant: Set[str] | None) -> Float[Tensor, "rows pos width"]:
        """What stands at a depth: each segment from a row that agrees in what it carries, the rest from any row."""
        place = self.places[depth]
        state = self.plain(self.draw(len(rows)), [place]).activations[place].clone()
        for segment, carried in self.hypothesis[depth].carries.items():
            names = [name for name in carried if relevant is None or name in relevant]
            if names:
                start, stop = self.planted.examples[0]["segments"][segment]
                source_readings, needed = self._like(rows, names), self.planted.ancestors(frozenset(names))
                run = self.scrubbed(source_readings, depth, [place], needed)
                state[:, start:stop] = run.activations[place][:, start:stop]
        return state

    def _like(self, rows: Rows, names: Sequence[str]) -> Rows:
        """For each row one that agrees with it in these variables, itself included, all being equally likely."""
        held = np.array([[values[name] for name in names] for values in self.planted.values])
        _, kinds, counts = np.unique(held, axis=0, return_inverse=True, return_counts=True)
        kinds = kinds.ravel()
        sorted_rows, firsts = np.argsort(kinds, kind="stable"), np.cumsum(counts) - counts
        own = kinds[rows]
        return sorted_rows[firsts[own] + self.random.integers(counts[own])]

    def _inputs(self, rows: Rows) -> Inputs:
        inputs = pad([self.planted.examples[number] for number in rows], 0)  # of one length, so nothing is filled up
        return {name: tensor.to(self.model.model.device) for name, tensor in inputs.items()}


def _loss(run: ForwardOutput, answers: Int[Tensor, "rows"]) -> float:
    return float(functional.cross_entropy(run.logits.float().cpu(), answers))


def _check(model: HookedModel, hypothesis: Sequence[Depth], planted: PlantedRows) -> tuple[HookPoint, ...]:
    """The places of the depths, once nothing is wrong."""
    faults = [] if model.task == "classification" else [f"the model is for {model.task}; scrub a classifier"]
    rows = planted.examples
    if not hypothesis or not rows:
        raise ValueError(f"{len(hypothesis)} depths and {len(rows)} rows were given; give at least one of each")
    shapes = {(len(row["input_ids"]), tuple(sorted(row.get("segments", {}).items()))) for row in rows}
    if len(shapes) > 1:
        faults.append("the rows differ in length or segments, so none can stand in for another; give rows of one shape")
    for number, depth in enumerate(hypothesis):
        faults += [f"depth {number}: {fault}" for fault in _depth_faults(depth, planted)]
    if faults:
        raise ValueError("\n".join(faults))
    places = tuple(model.hook_point(depth.component, depth.layer) for depth in hypothesis)
    if any(first.depth >= second.depth for first, second in itertools.pairwise(places)):
        raise ValueError(f"depths are to be in the order of a forward, got {', '.join(place.name for place in places)}")
    return places


def _depth_faults(depth: Depth, planted: PlantedRows) -> list[str]:
    known, variables = planted.examples[0].get("segments", {}), planted.values[0]
    faults = [
        f"{what} {name!r} does not exist; there are {', '.join(there)}"
        for what, names, there in (
            ("component", [depth.component], ("block_input", "block_output")),
            ("segment", depth.carries, known),
            ("variable", [name for names in depth.carries.values() for name in names], variables),
        )
        for name in names
        if name not in there
    ]
    spans = sorted(known[name] for name in depth.carries if name in known)
    if any(first[1] > second[0] for first, second in itertools.pairwise(spans)):
        faults.append(f"the segments {', '.join(depth.carries)} overlap; name each token once")
    return faults
