"""Causal scrubbing: a test of a hypothesis about the variables that the sites of a model carry.

A hypothesis states, for some depths, which variables each segment of a row carries there; other tokens carry nothing
that matters. A row is scrubbed by replacing, at the last of these depths, every segment by the same segment of another
row that agrees with it in the named variables, and all other tokens by those of any one row. The rows that agree are
themselves scrubbed at the earlier depths, as far as the variables that they were chosen for have causes there. So all
activations that the hypothesis calls irrelevant are resampled, and if it is right, the model's loss stays the same.

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
    """The hypothesis at one depth."""

    layer: int
    carries: Mapping[str, tuple[str, ...]]
    """The variables whose values each segment carries; any other token carries nothing that matters."""
    component: str = "block_output"
    """`block_output`, or `block_input` for the input of the layer."""


@dataclass(frozen=True)
class Scrubbed:
    """Mean losses in nats."""

    clean: float
    """The loss of the model as it is."""
    scrubbed: float
    """The loss of its predictions for scrubbed rows."""
    random: float
    """The loss of its predictions for other rows, drawn at random."""
    rows: int

    @property
    def recovered(self) -> float | None:
        """1 if scrubbing costs nothing, 0 if a random row does as well; None if the model only guesses."""
        gained = self.random - self.clean
        return (self.random - self.scrubbed) / gained if gained > 0 else None


@dataclass(frozen=True, eq=False)
class PlantedRows:
    """Rows of a planted task, all of one length and with the same segments, and the variables of its causal model."""

    examples: Sequence[Example]
    values: Sequence[Mapping[str, int]]
    """The value of every variable of each row."""
    causes: Mapping[str, Sequence[str]]
    """The variables that each variable is computed from; empty for an input."""
    labels: Sequence[int]

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        variables: Callable[[dict[str, Any]], Mapping[str, int]],
        causes: Mapping[str, Sequence[str]],
    ) -> "PlantedRows":
        """Run the causal model, such as `PlantedNLI().variables`, on every row; its `label` is the correct
        prediction.
        """
        values = [variables(dict(example)) for example in examples]
        return cls(examples, values, causes, [int(each["label"]) for each in values])

    def ancestors(self, names: Set[str]) -> frozenset[str]:
        """These variables, and all variables that they depend on."""
        above = {cause for name in names for cause in self.causes.get(name, ())}
        return frozenset(names) if above <= names else self.ancestors(names | above)


def scrub(
    model: HookedModel, hypothesis: Sequence[Depth], planted: PlantedRows, *, rows: int = 500, seed: int = 0
) -> Scrubbed:
    """Test a hypothesis on rows drawn from those of a planted task.

    Costs, for each row and segment that carries something, two forwards at the first depth, and at each further depth
    as many as all the rows that replace it.

    Args:
        model: A classifier with the labels of the causal model.
        hypothesis: The hypothesis at each depth, in the order of the depths.
        planted: The rows, which also replace one another.
        rows: The number of rows to scrub.
        seed: The seed of every draw.

    Raises:
        ValueError: The model is not a classifier, rows differ in length or segments, or the hypothesis names things
        that
            do not exist; the message lists all faults.
    """
    hook_points = _check(model, hypothesis, planted)
    scrubbing = _Scrubbing(model, tuple(hypothesis), hook_points, planted, np.random.default_rng(seed))
    chosen, others = scrubbing.draw(rows), scrubbing.draw(rows)
    answers = torch.tensor(np.asarray(planted.labels)[chosen])
    with torch.no_grad(), evaluating([model]):
        clean = _loss(scrubbing.plain(chosen), answers)
        scrubbed = _loss(scrubbing.scrubbed(chosen, len(hypothesis)), answers)
        return Scrubbed(clean, scrubbed, _loss(scrubbing.plain(others), answers), rows)


@dataclass(frozen=True, eq=False)
class _Scrubbing:
    """A model, a hypothesis, and one stream of random numbers."""

    model: HookedModel
    hypothesis: tuple[Depth, ...]
    hook_points: tuple[HookPoint, ...]
    planted: PlantedRows
    random: np.random.Generator

    def draw(self, rows: int) -> Rows:
        """Draws any rows."""
        return self.random.integers(len(self.planted.examples), size=rows)

    def plain(self, rows: Rows, keep: Sequence[HookPoint] = ()) -> ForwardOutput:
        """Run the model as it is."""
        return self.model.run(self._inputs(rows), keep)

    def scrubbed(
        self, rows: Rows, depths: int, keep: Sequence[HookPoint] = (), relevant: Set[str] | None = None
    ) -> ForwardOutput:
        """Run the model with its rows scrubbed at the first depths.

        Args:
            rows: The rows to scrub.
            depths: The number of depths.
            keep: Hook points after the last of these depths whose activations are kept.
            relevant: The variables that rows must keep; None means all that are named.
        """
        if depths == 0:
            return self.plain(rows, keep)
        hook_point = self.hook_points[depths - 1]
        inputs, state = self._inputs(rows), self._state(rows, depths - 1, relevant)
        everything = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
        positions = Positions(everything, everything, torch.ones_like(everything, dtype=torch.bool))
        source_activations = SourceActivations({hook_point: state}, inputs["attention_mask"])
        return interchange(self.model, [ResolvedSite(hook_point)], inputs, source_activations, positions, keep)

    def _state(self, rows: Rows, depth: int, relevant: Set[str] | None) -> Float[Tensor, "rows pos width"]:
        """The activations at a depth: each segment from a row that agrees in its variables, the rest from any row."""
        hook_point = self.hook_points[depth]
        state = self.plain(self.draw(len(rows)), [hook_point]).activations[hook_point].clone()
        for segment, carried in self.hypothesis[depth].carries.items():
            names = [name for name in carried if relevant is None or name in relevant]
            if names:
                start, stop = self.planted.examples[0]["segments"][segment]
                source_rows, needed = self._like(rows, names), self.planted.ancestors(frozenset(names))
                run = self.scrubbed(source_rows, depth, [hook_point], needed)
                state[:, start:stop] = run.activations[hook_point][:, start:stop]
        return state

    def _like(self, rows: Rows, names: Sequence[str]) -> Rows:
        """One row for each row that agrees with it in these variables, itself included, with equal probability."""
        held = np.array([[values[name] for name in names] for values in self.planted.values])
        _, kinds, counts = np.unique(held, axis=0, return_inverse=True, return_counts=True)
        kinds = kinds.ravel()
        sorted_rows, firsts = np.argsort(kinds, kind="stable"), np.cumsum(counts) - counts
        own = kinds[rows]
        return sorted_rows[firsts[own] + self.random.integers(counts[own])]

    def _inputs(self, rows: Rows) -> Inputs:
        # All rows have one length, so there is no padding.
        inputs = pad([self.planted.examples[number] for number in rows], 0)
        return {name: tensor.to(self.model.model.device) for name, tensor in inputs.items()}


def _loss(run: ForwardOutput, answers: Int[Tensor, "rows"]) -> float:
    return float(functional.cross_entropy(run.logits.float().cpu(), answers))


def _check(model: HookedModel, hypothesis: Sequence[Depth], planted: PlantedRows) -> tuple[HookPoint, ...]:
    """The hook points of the depths, after all checks."""
    faults = [] if model.task == "classification" else [f"the model is for {model.task}; scrub a classifier"]
    rows = planted.examples
    if not hypothesis or not rows:
        raise ValueError(f"{len(hypothesis)} depths and {len(rows)} rows were given; give at least one of each")
    shapes = {(len(row["input_ids"]), tuple(sorted(row.get("segments", {}).items()))) for row in rows}
    if len(shapes) > 1:
        faults.append("the rows differ in length or segments, so none can replace another; give rows of one shape")
    for number, depth in enumerate(hypothesis):
        faults += [f"depth {number}: {fault}" for fault in _depth_faults(depth, planted)]
    if faults:
        raise ValueError("\n".join(faults))
    hook_points = tuple(model.hook_point(depth.component, depth.layer) for depth in hypothesis)
    if any(first.depth >= second.depth for first, second in itertools.pairwise(hook_points)):
        raise ValueError(
            f"depths must be in the order of a forward pass, got {', '.join(each.name for each in hook_points)}"
        )
    return hook_points


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
