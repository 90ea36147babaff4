"""What an entry of the table of objectives says of an objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from causalkd.recipe.part import Part

Given = Literal["alignment", "teacher", "student", "seed"]
"""What an objective can be built with besides its settings."""


@dataclass(frozen=True)
class ObjectiveEntry:
    """One objective.

    Attributes:
        settings: Its keys in a recipe; one of them is `weight`, the others are arguments of `build`.
        build: Makes the objective (`causalkd.objectives.base.Objective`), such as its class; or where that is, as
            `module:name`.
        takes: What `build` takes besides the settings, by name: the alignment resolved for the models, the models, and
            the seed of the training.
        interchanges: Whether it intervenes, and so needs sources and positions in its batches.
        trains_maps: Whether it trains on attribution maps, and so needs second derivatives, eager attention and
            backward passes that block-forwards do not count; a report says so.
        reads_teacher: Whether it compares the student with the teacher.
        learns_from: What a student learns from by it, for sentences of a report; without it the key stands there.
        unit: The unit of its term: `nats` (a regression's is another), another word, or empty where settings choose.
        cost: The operations that it adds to the forward passes of both models and the student's backward pass, as a
            function of its settings and a `causalkd.runs.costs.step_flops.Step`, or where that is; None where it adds
            none worth planning. Objectives of the same cost share what they run, so it is counted once.
        held: What it holds in memory for the backward pass beside the plain forward pass, in those; given as `cost` is.
    """

    settings: type[Part]
    build: Callable[..., Any] | str
    takes: tuple[Given, ...] = ()
    interchanges: bool = False
    trains_maps: bool = False
    reads_teacher: bool = True
    learns_from: str = ""
    unit: str = ""
    cost: Callable[..., Any] | str | None = None
    held: Callable[..., Any] | str | None = None
