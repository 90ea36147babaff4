"""Run: one executed forward with the activations it kept; and what it can donate to an interchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from causalkd.models.hooks.hook_points import HookPoint

Inputs = Mapping[str, Tensor]
"""What a stock forward takes: `input_ids`, `attention_mask`, for some models `token_type_ids`; never labels."""


def logits_of(output: Mapping[str, Tensor], entries: int | None = None) -> Tensor:
    """The logits of a stock output, of the first `entries` choices where these are given; of an answer both ends'."""
    if "logits" in output:
        return output["logits"] if entries is None else output["logits"][..., :entries]
    return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)


@dataclass(frozen=True, eq=False)
class SourceActivations:
    """What an interchange takes from a source: its activations and which of its positions are real."""

    activations: Mapping[HookPoint, Tensor]
    attention_mask: Int[Tensor, "batch pos"]


@dataclass(frozen=True, eq=False)
class ForwardOutput:
    """One executed forward.

    Attributes:
        inputs: What the model was given.
        logits: (batch, pos, vocabulary or label) or (batch, label); for question answering (batch, pos, 2). With
            `logits_at`, (item, vocabulary or label).
        hidden: Last hidden states, after a final norm where the architecture has one.
        activations: The tensors at the places that were asked for, in the graph of the forward.
        generator_states: The random state at the entry of a block, kept while dropout is on, by layer.
        logits_at: The positions that the logits are of, counted through the rows; None where they are of all.
    """

    inputs: Inputs
    logits: Tensor
    hidden: Float[Tensor, "batch pos width"]
    activations: Mapping[HookPoint, Tensor]
    generator_states: Mapping[int, Tensor] = field(default_factory=dict)
    logits_at: Int[Tensor, " item"] | None = None

    @property
    def item_logits(self) -> Float[Tensor, "item choice"]:
        """The logits of a per-token head, one row for each position that has some."""
        return self.logits.flatten(0, -2)

    def of_items(self, values: Shaped[Tensor, "batch pos"]) -> Shaped[Tensor, " item"]:
        """What belongs to each row of `item_logits`, from what belongs to each position."""
        flat = values.flatten()
        return flat if self.logits_at is None else flat[self.logits_at]

    def source_activations(self, rows: Int[Tensor, " batch"] | None = None) -> SourceActivations:
        """This run as a source; `rows` names, for each receiving row, the row of this run that donates to it."""
        if rows is None:
            return SourceActivations(self.activations, self.inputs["attention_mask"])
        return SourceActivations({p: a[rows] for p, a in self.activations.items()}, self.inputs["attention_mask"][rows])

    def as_base(self, rows: Int[Tensor, " batch"]) -> "ForwardOutput":
        """Other rows of this run as a base; what they predicted is left out where it is of chosen positions."""
        at = self.logits_at
        return replace(
            self,
            inputs={name: tensor[rows] for name, tensor in self.inputs.items()},
            logits=self.logits[rows] if at is None else self.logits[:0],
            hidden=self.hidden[rows],
            activations={hook_point: activation[rows] for hook_point, activation in self.activations.items()},
            logits_at=None if at is None else at[:0],
        )
