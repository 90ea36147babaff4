"""Settings of a recipe that are passed on to transformers' TrainingArguments and `from_pretrained`, and to peft."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field

from causalkd.recipe.part import MOST_WIDTH, Part

Precision = Literal["float32", "bfloat16", "float16"]
Item = TypeVar("Item")
Listed = Annotated[tuple[Item, ...], Field(strict=False)]
"""A list or a tuple of items."""


class OptimizerPart(Part):
    """Settings of `training` that go to transformers' TrainingArguments, and `freeze`, which causalkd applies."""

    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's β₁."""
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    """AdamW's β₂."""
    adam_epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's ε."""
    activation_checkpointing: bool = False
    """Also known as gradient checkpointing: recompute each block's forward pass in the backward pass, which saves
    memory and costs time."""
    freeze: Listed[str] = ()
    """Patterns of parameter names that are not trained, such as `*position_embeddings*`."""
    metric_for_best_model: str | None = None
    """A metric of the task, such as `accuracy`: it is measured on the held-out split whenever a checkpoint is saved
    (`save_steps`), and the best checkpoint is kept at the end. None keeps the last weights. Scores on the same split
    are then somewhat too high."""


class LoadingPart(Part):
    """Settings for loading a teacher's weights once nothing trains them."""

    dtype: Precision | None = None
    """Precision of its weights while it teaches; None keeps the checkpoint's. A teacher in float32 takes four bytes a
    parameter, 28 GB for seven billion; in bfloat16 half of that."""
    device_map: str | None = None
    """The devices of its modules, as in transformers, such as `auto`, which spreads them over all devices of this
    process; None puts all on one device."""


class LoraPart(Part):
    """Low-rank adapters that are trained instead of the student's own weights; needs the extra `lora`."""

    rank: int = Field(default=8, ge=1, le=MOST_WIDTH)
    """Rank of the adapters."""
    alpha: int = Field(default=16, ge=1, le=MOST_WIDTH)
    """The adapters' output is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the input of an adapter."""
    targets: Listed[str] | None = None
    """Endings of the names of linear layers in the transformers model, such as `q_proj`; None adapts all in blocks."""
