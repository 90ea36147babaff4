"""One executed forward pass with the activations that it kept, and the source activations of an intervention."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.split_head import UnprojectedLogits

Inputs = Mapping[str, Tensor]
"""The inputs of a stock forward pass: `input_ids`, `attention_mask`, for some models `token_type_ids`; never labels."""


@dataclass(frozen=True, eq=False)
class SourceActivations:
    """The source activations of an intervention, and which of their positions are real."""

    activations: Mapping[HookPoint, Tensor]
    attention_mask: Int[Tensor, "batch pos"]


@dataclass(frozen=True, eq=False)
class ForwardOutput:
    """One executed forward pass.

    Attributes:
        inputs: The inputs of the model.
        predicted: The logits, or for a vocabulary a form from which they are made a few rows at a time.
        hidden: Last hidden states, after a final norm if the architecture has one.
        activations: The tensors at the hook points that the run kept, in the graph of the forward pass.
        generator_states: The random state at the entry of a block, kept while dropout is on, by layer.
        logits_at: The positions of the logits, numbered through the rows; None means all positions.
    """

    inputs: Inputs
    predicted: Tensor | UnprojectedLogits
    hidden: Float[Tensor, "batch pos width"]
    activations: Mapping[HookPoint, Tensor]
    generator_states: Mapping[int, Tensor] = field(default_factory=dict)
    logits_at: Int[Tensor, " item"] | None = None

    @cached_property
    def logits(self) -> Tensor:
        """(batch, pos, vocabulary or label) or (batch, label); for question answering (batch, pos, 2).

        With `logits_at`, (item, vocabulary or label). Those of a whole vocabulary are computed at the first access.
        """
        return self.predicted if isinstance(self.predicted, Tensor) else self.predicted.whole()

    @cached_property
    def item_predictions(self) -> Tensor | UnprojectedLogits:
        """The `item_logits`, or a form from which they are made; the same object at every access."""
        return self.predicted.flatten(0, -2)

    @property
    def outputs(self) -> Tensor:
        """A tensor in whose graph is all that the predictions depend on: logits, perhaps of no choice."""
        return self.predicted if isinstance(self.predicted, Tensor) else self.predicted.stand_in

    @property
    def item_logits(self) -> Float[Tensor, "item choice"]:
        """The logits of a per-token head, one row for each position that has some."""
        return self.logits.flatten(0, -2)

    def of_items(self, values: Shaped[Tensor, "batch pos"]) -> Shaped[Tensor, " item"]:
        """The values that belong to each row of `item_logits`, taken from the values of each position."""
        flat = values.flatten()
        return flat if self.logits_at is None else flat[self.logits_at]

    def source_activations(self, rows: Int[Tensor, " batch"] | None = None) -> SourceActivations:
        """This run as a source; `rows` gives, for each receiving row, the row of this run that is its source."""
        if rows is None:
            return SourceActivations(self.activations, self.inputs["attention_mask"])
        return SourceActivations({p: a[rows] for p, a in self.activations.items()}, self.inputs["attention_mask"][rows])

    def as_base(self, rows: Int[Tensor, " batch"]) -> "ForwardOutput":
        """Other rows of this run as a base; predictions are left out where they are at chosen positions.

        Random states are of the whole batch: dropout that is repeated from them goes by a row's place.
        """
        at = self.logits_at
        return replace(
            self,
            inputs={name: tensor[rows] for name, tensor in self.inputs.items()},
            predicted=self.predicted[rows] if at is None else self.predicted[:0],
            hidden=self.hidden[rows],
            activations={hook_point: activation[rows] for hook_point, activation in self.activations.items()},
            logits_at=None if at is None else at[:0],
        )
