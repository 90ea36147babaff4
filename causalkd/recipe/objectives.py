"""The table of objectives that a recipe can name, and their settings: strict, frozen data whose fields are the manual.

One entry declares an objective: recipes, their schema, the trainer, `causalkd plan` and the tests know it from here.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from causalkd import registries
from causalkd.losses.divergence_table import DivergenceName
from causalkd.recipe.objective_entry import Given, ObjectiveEntry
from causalkd.recipe.part import MOST_TOKENS, Part


class TermPart(Part):
    """A term of the loss."""

    weight: float = Field(default=1.0, ge=0)
    """The weight of the term; with 0 it is only logged."""


class PredictionPart(TermPart):
    """An objective that compares predictions."""

    temperature: float = Field(default=2.0, gt=0)
    """The temperature T; the term is T² · KL at temperature T."""
    tokens: Literal["all", "labelled"] = "all"
    """Which tokens count, for heads with one prediction per token."""


class ResponseKDPart(PredictionPart):
    """Response distillation: the student's predictions learn from the teacher's."""

    divergence: DivergenceName = "forward_kl"
    """The divergence; `forward_kl` is KL(teacher || student)."""
    share: float | None = Field(default=None, ge=0, le=1)
    """β of `jensen_shannon` (default 0.5), or α of the skewed divergences (default 0.1)."""
    scale_by_t2: bool = True
    """Whether to multiply by T²; AD-KD does not."""
    anneal_temperature: bool = False
    """Whether T falls linearly from epoch to epoch, to 1 in the last one."""


class ATKDPart(TermPart):
    """ATKD: easy tokens are learned by their diversity term only, hard tokens by both terms."""

    temperature: float = Field(default=1.0, gt=0)
    """The temperature T; the term is multiplied by T²."""
    easy_weight: float = Field(default=0.2, ge=0, le=1)
    """λ, the share of the easy tokens in the term."""
    hard_fraction: float = Field(default=0.5, gt=0, le=1)
    """The share of tokens that count as hard."""
    split: Literal["batch", "sequence", "running"] = "batch"
    """The tokens over which the quantile of uncertainty is taken that separates easy from hard tokens: the batch, each
    sequence, or (`running`, for batches of few tokens) the training so far."""
    reverse: bool = False
    """Whether to compute the divergence with the roles of teacher and student reversed."""


class DKDPart(TermPart):
    """The target-oriented and the diversity-oriented term, each with its own factor."""

    temperature: float = Field(default=1.0, gt=0)
    """The temperature T; the term is multiplied by T²."""
    alpha: float = Field(default=0.2, ge=0)
    """The factor of the target-oriented term."""
    beta: float = Field(default=1.0, ge=0)
    """The factor of the diversity-oriented term."""


class ADKDPart(TermPart):
    """AD-KD: the student's attribution maps learn from the teacher's."""

    views: Literal["all", "label"] | Annotated[int, Field(ge=1, le=MOST_TOKENS)] = "all"
    """The outputs to explain: every class, the label, or (language models) this many of the teacher's likeliest tokens.
    """
    target: Literal["probability", "log_probability", "logit", "loss"] = "loss"
    """The scalar to explain: p, log p, the logit, or the loss as in the authors' code."""
    steps: int = Field(default=1, ge=1, le=10_000)
    """The number of steps of integrated gradients; 1 is input × gradient."""
    top_k: int | float | None = Field(default=None, gt=0)
    """How many of the teacher's largest dimensions count: a number, or a fraction such as 0.9; None means all."""
    distance: Literal["l1", "l2", "smooth_l1"] = "l2"
    """The distance between two maps."""
    norm: Literal[1, 2] = 2
    """The norm over positions by which every map is scaled."""
    hook_point: str | None = None
    """TransformerLens hook point whose activations the outputs are attributed to, such as blocks.1.hook_in; None means
    the embedding output."""
    teacher_hook_point: str | None = None
    """The teacher's hook point, if it differs because the teacher has more blocks; None means `hook_point`."""


class ULDPart(TermPart):
    """ULD: the student's sorted probabilities of the next token learn from the teacher's, whatever their entries mean.

    Language models of a recipe read the same tokens; in Python the objective also takes a teacher of another tokenizer.
    """

    temperature: float = Field(default=1.0, gt=0)
    """The temperature T, dividing both models' logits."""


class TaskPart(TermPart):
    """The task loss against the labels."""


class HiddenKDPart(TermPart):
    """Hidden-state distillation: the student's last hidden states learn from the teacher's."""

    distance: Literal["cosine", "squared"] = "cosine"
    """The distance: 1 − cos, or the squared difference summed over the width."""


class ProjectedHiddenKDPart(HiddenKDPart):
    """Hidden-state distillation on the base input, for models of any width."""

    projection: bool = False
    """Whether to learn a linear map between the two widths together with the student."""


class DIITOPart(PredictionPart):
    """DIITO: the student's counterfactual predictions learn from the teacher's."""

    pairs: Literal["one", "all"] = "one"
    """Whether one site pair is drawn per step, or the term is the mean over all."""
    crossway: bool = False
    """Whether to intervene a second time with the roles of base and source reversed."""


class DIITOHiddenPart(HiddenKDPart):
    """DIITO on hidden states: the student's counterfactual last hidden states learn from the teacher's."""

    pairs: Literal["one", "all"] = "one"
    """Whether one site pair is drawn per step, or the term is the mean over all."""
    crossway: bool = False
    """Whether to intervene a second time with the roles of base and source reversed."""


class ObjectivesPart(Part):
    """The objectives of a student, which is trained on the sum of weight · term over those that are named."""

    if TYPE_CHECKING:  # the fields are made from the table below; these are read by name:
        response_kd: ResponseKDPart | None
        atkd: ATKDPart | None
        dkd: DKDPart | None
        adkd: ADKDPart | None

    def chosen(self) -> dict[str, Any]:
        """The named objectives, by name."""
        return {name: part for name in type(self).model_fields if (part := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _not_empty(self) -> "ObjectivesPart":
        if not any(part.weight for part in self.chosen().values()):
            raise ValueError(f"name at least one objective of weight above 0: {', '.join(type(self).model_fields)}")
        return self


_INTERCHANGE_COST = "causalkd.runs.costs.step_flops:interchange_cost"
_INTERCHANGE_HELD = "causalkd.runs.costs.step_memory:interchange_held"
_ALL: tuple[Given, ...] = ("alignment", "teacher", "student", "seed")
_MODELS: tuple[Given, ...] = ("teacher", "student", "seed")
OBJECTIVES: dict[str, ObjectiveEntry] = {
    "task": ObjectiveEntry(
        TaskPart, "causalkd.objectives.response_kd:TaskLoss", reads_teacher=False, learns_from="the labels", unit="nats"
    ),
    "response_kd": ObjectiveEntry(
        ResponseKDPart, "causalkd.objectives.response_kd:ResponseKD", learns_from="the teacher's predictions"
    ),
    "atkd": ObjectiveEntry(
        ATKDPart,
        "causalkd.objectives.atkd:ATKD",
        learns_from="the teacher's predictions by teaching modes",
        unit="nats",
    ),
    "dkd": ObjectiveEntry(
        DKDPart, "causalkd.objectives.atkd:DKD", learns_from="both parts of the teacher's predictions", unit="nats"
    ),
    "hidden_kd": ObjectiveEntry(
        ProjectedHiddenKDPart,
        "causalkd.objectives.hidden_kd:HiddenKD",
        takes=_MODELS,
        learns_from="the teacher's hidden states",
        unit="distance",
    ),
    "diito": ObjectiveEntry(
        DIITOPart,
        "causalkd.objectives.diito:DIITO",
        takes=_ALL,
        learns_from="the teacher's counterfactual predictions",
        unit="nats",
        interchanges=True,
        cost=_INTERCHANGE_COST,
        held=_INTERCHANGE_HELD,
    ),
    "diito_hidden": ObjectiveEntry(
        DIITOHiddenPart,
        "causalkd.objectives.diito:DIITOHidden",
        takes=_ALL,
        learns_from="the teacher's counterfactual hidden states",
        unit="distance",
        interchanges=True,
        cost=_INTERCHANGE_COST,
        held=_INTERCHANGE_HELD,
    ),
    "adkd": ObjectiveEntry(
        ADKDPart,
        "causalkd.objectives.adkd:ADKD",
        takes=_MODELS,
        trains_maps=True,
        learns_from="the teacher's attribution maps",
        unit="distance",
        cost="causalkd.runs.costs.step_flops:maps_cost",
        held="causalkd.runs.costs.step_memory:maps_held",
    ),
    "uld": ObjectiveEntry(
        ULDPart,
        "causalkd.objectives.uld:ULD",
        takes=("teacher", "student"),  # it draws nothing, so it takes no seed
        learns_from="the teacher's sorted predictions",
        unit="distance",
    ),
}
"""Every objective by its key."""


def register_objective(key: str, entry: ObjectiveEntry) -> None:
    """Adds an objective, so that recipes can name it.

    Raises:
        ValueError: The key is taken or is not a Python identifier, or the settings have no `weight`.
    """
    if not key.isidentifier() or key.startswith("_"):
        raise ValueError(f"{key!r} cannot be the key of an objective; choose letters, digits and underscores")
    if "weight" not in entry.settings.model_fields:
        raise ValueError(f"the settings of objective {key!r} have no `weight`, the factor of its term; add that field")
    registries.add(OBJECTIVES, "objectives", key, entry)
    _make_fields()


def unregister_objective(key: str) -> None:
    """Takes an objective out of the table.

    Raises:
        ValueError: There is no objective with this key.
    """
    registries.remove(OBJECTIVES, "objectives", key)
    _make_fields()


def _make_fields() -> None:
    """Gives `ObjectivesPart` a field for each entry of the table, and rebuilds the parts that contain it."""
    fields = ObjectivesPart.__pydantic_fields__
    fields.clear()
    for key, entry in OBJECTIVES.items():
        fields[key] = FieldInfo.from_annotated_attribute(cast(type[Any], entry.settings | None), None)
    for part in _parts(Part):  # in the order of their definition: a part is defined after those that it contains
        part.model_rebuild(force=True)


def _parts(part: type[Part]) -> Iterator[type[Part]]:
    for each in part.__subclasses__():
        yield each
        yield from _parts(each)


_make_fields()
