"""The objectives a recipe can name, and their settings: strict, frozen data whose fields are the manual."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    divergence: Literal[
        "forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "skewed_forward_kl", "skewed_reverse_kl"
    ] = "forward_kl"
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

    weighting: Literal["equal", "uncertainty"] = "equal"
    """`uncertainty` multiplies by the teacher's, of base; with `tokens: labelled` only."""

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

    task: TaskPart | None = None
    response_kd: ResponseKDPart | None = None
    atkd: ATKDPart | None = None
    dkd: DKDPart | None = None
    hidden_kd: ProjectedHiddenKDPart | None = None
    diito: DIITOPart | None = None
    diito_hidden: DIITOHiddenPart | None = None
    adkd: ADKDPart | None = None

    def chosen(self) -> dict[str, Any]:
        """The objectives that are named, by name."""
        return {name: part for name in type(self).model_fields if (part := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _not_empty(self) -> "ObjectivesPart":
        if not any(part.weight for part in self.chosen().values()):
            raise ValueError(f"name at least one objective of weight above 0: {', '.join(type(self).model_fields)}")
        return self
