"""How many floating-point operations the forwards of a model cost, counted from the sizes of its layers.

A multiplication and an addition are two operations, as `torch.utils.flop_counter` counts them; what is not a matrix
product (norms, activations, softmax) is left out, as it is there. Of a mixture's experts those count that a token is
sent to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.models.hooks.hooked_model import HookedModel

Number = int | float
_OF_EXPERTS = 3  # axes
# What configurations call the number of experts that a token is sent to.
_EXPERTS_A_TOKEN = ("num_experts_per_tok", "moe_k")


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
        return sum(self._weights(module) for block in self._model.layers for module in block.modules())

    @cached_property
    def _head_weights(self) -> int:
        in_blocks = sum(map(self._weights, self._model.blocks.modules()))
        return sum(map(self._weights, _read_by_text(self._model))) - in_blocks

    def _weights(self, module: nn.Module) -> int:
        """The entries of the matrices of a layer that a token is multiplied by."""
        if isinstance(module, nn.Linear | Conv1D):
            return module.weight.numel()
        # transformers keeps the matrices of all experts in one tensor each, (expert, out, in).
        experts = [each for each in module.parameters(recurse=False) if each.dim() == _OF_EXPERTS]
        if not experts or not type(module).__name__.endswith("Experts"):
            return 0
        return sum(each.numel() * self._experts_a_token // len(each) for each in experts)

    @cached_property
    def _experts_a_token(self) -> int:
        config = self._model.model.config.get_text_config()
        return next((getattr(config, name) for name in _EXPERTS_A_TOKEN if hasattr(config, name)), 1)


def _read_by_text(model: HookedModel) -> Iterator[nn.Module]:
    """The modules of a model without its parts that read images or sound, which text alone does not enter."""
    towers = [
        part
        for part in model.model.modules()
        if isinstance(part, PreTrainedModel) and not any(each is model.blocks for each in part.modules())
    ]
    inside = {id(module) for tower in towers for module in tower.modules()}
    yield from (module for module in model.model.modules() if id(module) not in inside)
