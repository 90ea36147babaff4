"""The table of objectives that a recipe can name, and their settings: strict, frozen data whose fields are the manual.

One entry declares an objective: recipes, their schema, the trainer and the tests know it from here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from causalkd import tables
from causalkd.losses.divergence_table import DivergenceName

MOST_TOKENS = 10**7
"""Of a row or a vocabulary; more is a slip of the pen."""


class Part(BaseModel):
    """A part of a recipe: unknown keys and values of another type are refused, nothing is edited after reading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PredictionPart(Part):
    """Predictions are compared."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""
    temperature: float = Field(default=2.0, gt=0)
    """T; the term is T² · KL at temperature T."""
    tokens: Literal["all", "labelled"] = "all"
    """Which tokens count where the head predicts one thing per token."""


class ResponseKDPart(PredictionPart):
    """The student's predictions follow the teacher's."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of the term; with 0 it is only logged."""
    divergence: DivergenceName = "forward_kl"
    """What takes the place of KL(teacher || student)."""
    share: float | None = Field(default=None, ge=0, le=1)
    """β of `jensen_shannon` (0.5 without it), α of the skewed ones (0.1)."""
    scale_by_t2: bool = True
    """Multiply by T²; AD-KD does not."""
    anneal_temperature: bool = False
    """T falls linearly from epoch to epoch and is 1 in the last."""


class ATKDPart(Part):
    """Easy tokens teach their diversity only, hard ones all."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""
    temperature: float = Field(default=1.0, gt=0)
    """T; the term carries T²."""
    easy_weight: float = Field(default=0.2, ge=0, le=1)
    """λ, the easy tokens' share of the term."""
    hard_fraction: float = Field(default=0.5, gt=0, le=1)
    """The share of tokens that are hard."""
    split: Literal["batch", "sequence", "running"] = "batch"
    """What the quantile of uncertainty that divides easy from hard is of."""
    reverse: bool = False
    """Exchange the roles of teacher and student."""


class DKDPart(Part):
    """The target- and the diversity-oriented term, with a factor each."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of the term; with 0 it is only logged."""
    temperature: float = Field(default=1.0, gt=0)
    """T; the term carries T²."""
    alpha: float = Field(default=0.2, ge=0)
    """Factor of the target-oriented term."""
    beta: float = Field(default=1.0, ge=0)
    """Factor of the diversity-oriented term."""


class ADKDPart(Part):
    """The student's attribution maps follow the teacher's."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""
    views: Literal["all", "label"] | Annotated[int, Field(ge=1, le=MOST_TOKENS)] = "all"
    """What is explained: every class, the label, or for language models this many of the teacher's likeliest tokens."""
    target: Literal["probability", "log_probability", "logit", "loss"] = "loss"
    """What of it: p, log p, the logit, or the loss, as the authors' code does."""
    steps: int = Field(default=1, ge=1, le=10_000)
    """Steps of integrated gradients; 1 is input × gradient."""
    top_k: int | float | None = Field(default=None, gt=0)
    """How many of the teacher's dimensions count, the largest: a number, or a fraction such as 0.9; None for all."""
    distance: Literal["l1", "l2", "smooth_l1"] = "l2"
    """How maps are compared."""
    norm: Literal[1, 2] = 2
    """The norm over positions that every map is scaled by."""
    hook_point: str | None = None
    """TransformerLens name of where attributions are taken, e.g. blocks.1.hook_in; None for the embeddings' output."""
    teacher_hook_point: str | None = None
    """The same of the teacher alone, whose blocks are more; None for `hook_point`."""


class TaskPart(Part):
    """The loss against the labels."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""


class HiddenKDPart(Part):
    """The student's last hidden states follow the teacher's."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term."""
    distance: Literal["cosine", "squared"] = "cosine"
    """1 − cos, or the squared difference summed over the width."""


class ProjectedHiddenKDPart(HiddenKDPart):
    """Hidden-state KD on base, for any widths."""

    projection: bool = False
    """Learn a linear map between the widths, with the student."""


class DIITOPart(PredictionPart):
    """The student's counterfactual predictions follow the teacher's."""

    pairs: Literal["one", "all"] = "one"
    """One site pair drawn per step, or the mean over all."""
    crossway: bool = False
    """Also exchange base and source."""


class DIITOHiddenPart(HiddenKDPart):
    """The student's counterfactual last hidden states follow the teacher's."""

    pairs: Literal["one", "all"] = "one"
    """One site pair drawn per step, or the mean over all."""
    crossway: bool = False
    """Also exchange base and source."""


class ObjectivesPart(Part):
    """What the student is trained on: the sum of weight · term over the ones named."""

    if TYPE_CHECKING:  # the fields are made from the table below; those that are asked for by name:
        response_kd: ResponseKDPart | None
        atkd: ATKDPart | None
        dkd: DKDPart | None
        adkd: ADKDPart | None

    def chosen(self) -> dict[str, Any]:
        """The objectives that are named, by name."""
        return {name: part for name in type(self).model_fields if (part := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _not_empty(self) -> "ObjectivesPart":
        if not any(part.weight for part in self.chosen().values()):
            raise ValueError(f"name at least one objective of weight above 0: {', '.join(type(self).model_fields)}")
        return self


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
    """

    settings: type[Part]
    build: Callable[..., Any] | str
    takes: tuple[Given, ...] = ()
    interchanges: bool = False


_ALL: tuple[Given, ...] = ("alignment", "teacher", "student", "seed")
_MODELS: tuple[Given, ...] = ("teacher", "student", "seed")
OBJECTIVES: dict[str, ObjectiveEntry] = {
    "task": ObjectiveEntry(TaskPart, "causalkd.objectives.response_kd:TaskLoss"),
    "response_kd": ObjectiveEntry(ResponseKDPart, "causalkd.objectives.response_kd:ResponseKD"),
    "atkd": ObjectiveEntry(ATKDPart, "causalkd.objectives.atkd:ATKD"),
    "dkd": ObjectiveEntry(DKDPart, "causalkd.objectives.atkd:DKD"),
    "hidden_kd": ObjectiveEntry(ProjectedHiddenKDPart, "causalkd.objectives.hidden_kd:HiddenKD", _MODELS),
    "diito": ObjectiveEntry(DIITOPart, "causalkd.objectives.diito:DIITO", _ALL, interchanges=True),
    "diito_hidden": ObjectiveEntry(DIITOHiddenPart, "causalkd.objectives.diito:DIITOHidden", _ALL, interchanges=True),
    "adkd": ObjectiveEntry(ADKDPart, "causalkd.objectives.adkd:ADKD", _MODELS),
}
"""Every objective by its key."""


def register_objective(key: str, entry: ObjectiveEntry) -> None:
    """Adds an objective, so that recipes can name it.

    Raises:
        ValueError: The key is taken or is no name of Python's, or the settings have no `weight`.
    """
    if not key.isidentifier() or key.startswith("_"):
        raise ValueError(f"{key!r} cannot be the key of an objective; choose letters, digits and underscores")
    if "weight" not in entry.settings.model_fields:
        raise ValueError(f"the settings of objective {key!r} have no `weight`, the factor of its term; add that field")
    tables.add(OBJECTIVES, "objectives", key, entry)
    _make_fields()


def unregister_objective(key: str) -> None:
    """Takes an objective out of the table.

    Raises:
        ValueError: There is none of this key.
    """
    tables.remove(OBJECTIVES, "objectives", key)
    _make_fields()


def _make_fields() -> None:
    """Gives `ObjectivesPart` a field for each entry of the table, and lets the parts around it see them."""
    fields = ObjectivesPart.__pydantic_fields__
    fields.clear()
    for key, entry in OBJECTIVES.items():
        fields[key] = FieldInfo.from_annotated_attribute(cast(type[Any], entry.settings | None), None)
    for part in _parts(Part):  # in the order of their definition: what is inside another stands before it
        part.model_rebuild(force=True)


def _parts(part: type[Part]) -> Iterator[type[Part]]:
    for each in part.__subclasses__():
        yield each
        yield from _parts(each)


_make_fields()
