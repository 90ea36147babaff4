"""How many floating-point operations the forwards of a model cost, counted from the sizes of its layers.

A multiplication and an addition are two operations, as `torch.utils.flop_counter` counts them; what is not a matrix
product (norms, activations, softmax) is left out, as it is there.
"""

from dataclasses import dataclass
from functools import cached_property

from torch import nn
from transformers.pytorch_utils import Conv1D

from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.models.hooks.hooked_model import HookedModel

Number = int | float


@dataclass(frozen=True)
class Shape:
    """The size of a batch."""

    rows: Number
    width: Number
    """Positions of a row, padding included."""
    predicted: Number
    """Positions at which a per-token head predicts, over all rows."""

    @property
    def tokens(self) -> Number:
        """Positions of all rows."""
        return self.rows * self.width


class ForwardCost:
    """What the parts of one model's forward cost.

    Args:
        model: Its layers are looked at; nothing is run, and weights need not be there.
    """

    def __init__(self, model: HookedModel) -> None:
        self._model = model

    def blocks(self, shape: Shape, number: Number | None = None) -> Number:
        """Some of the blocks, on average; all where no number is given."""
        linear = 2 * shape.tokens * self._block_weights
        attention = 4 * shape.rows * shape.width**2 * self._model.width * self._model.n_layers
        share = 1.0 if number is None else number / self._model.n_layers
        return share * (linear + attention)

    def head(self, shape: Shape) -> Number:
        """What follows the blocks."""
        if self._model.task in TOKEN_TASKS:
            times = shape.predicted
        else:  # decoders score every token, of which one counts
            times = shape.tokens if self._model.decodes or self._model.task == "question_answering" else shape.rows
        return 2 * times * self._head_weights

    def forward(self, shape: Shape) -> Number:
        """A whole forward."""
        return self.blocks(shape) + self.head(shape)

    @cached_property
    def _block_weights(self) -> int:
        return sum(_weights(module) for block in self._model.layers for module in block.modules())

    @cached_property
    def _head_weights(self) -> int:
        in_blocks = sum(map(_weights, self._model.blocks.modules()))
        return sum(map(_weights, self._model.model.modules())) - in_blocks


def _weights(module: nn.Module) -> int:
    """The entries of the matrix of a layer, where it is one that multiplies by one."""
    return module.weight.numel() if isinstance(module, nn.Linear | Conv1D) else 0
