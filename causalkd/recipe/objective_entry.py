"""The entry of an objective in the table of objectives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from causalkd.recipe.part import Part

Given = Literal["alignment", "teacher", "student", "seed"]
"""An argument that an objective can be built with besides its settings."""


@dataclass(frozen=True)
class ObjectiveEntry:
    """One objective.

    Attributes:
        settings: Its keys in a recipe; one of them is `weight`, the others are arguments of `build`.
        build: Makes the objective (`causalkd.objectives.base.Objective`), such as its class; or its name as
            `module:name`.
        takes: The arguments of `build` besides the settings: the alignment resolved for the models, the models, and
            the seed of the training.
        interchanges: Whether it intervenes, and therefore needs sources and positions in its batches.
        trains_maps: Whether it trains on attribution maps, and so needs second derivatives, eager attention and
            backward passes that block-forwards do not count; a report says so.
        reads_teacher: Whether it compares the student with the teacher.
        learns_from: The source that a student learns from, for sentences of a report; if empty, they name the key.
        unit: The unit of its term: `nats` (a regression's is another), another word, or empty if settings choose it.
        cost: The operations that it adds to the forward passes of both models and the student's backward pass, as a
            function of its settings and a `causalkd.runs.costs.step_flops.Step`, or the name of that function; None if
            it adds none worth planning. Objectives of the same cost share their passes, so it is counted once.
        held: The additional memory that it holds for the backward pass, in units of the student's plain forward pass;
            a function or its name, as for `cost`.
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
