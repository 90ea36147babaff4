"""The number of floating-point operations of a model's forwards, counted from the sizes of its layers.

A multiplication and an addition are two operations, as `torch.utils.flop_counter` counts them. Operations other than
matrix products (norms, activations, softmax) are left out, as they are there, and so are the states of recurrent
layers. In a mixture of experts only those count that a token is sent to.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.models.hooks.hooked_model import HookedModel

Number = int | float
_OF_EXPERTS = 3  # axes
# Configurations' names for the number of experts that a token is sent to.
_EXPERTS_A_TOKEN = ("num_experts_per_tok", "moe_k")
# Their names for layers in which no token is compared with another one.
_WITHOUT_ATTENTION = ("linear_attention", "conv", "moe", "mlp")

# The parts of a decoder's block that read an encoder, where there is one.
_READS_ENCODER = {"encoder_attn", "crossattention"}


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
    """The costs of the parts of one model's forward.

    Args:
        model: Its layers are inspected; nothing is run, and weights need not be in memory.
    """

    def __init__(self, model: HookedModel) -> None:
        self._model = model

    def blocks(self, shape: Shape, number: Number | None = None) -> Number:
        """Some of the blocks, on average; all if no number is given."""
        linear = 2 * shape.tokens * self._block_weights
        attention = 2 * shape.rows * shape.width**2 * self._attention_width
        share = 1.0 if number is None else number / self._model.n_layers
        return share * (linear + attention)

    def head(self, shape: Shape) -> Number:
        """The head, after the blocks."""
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
        return sum(
            self._weights(module)
            for block in self._model.layers
            for name, module in block.named_modules()
            if not _READS_ENCODER & set(name.split("."))
        )

    @cached_property
    def _attention_width(self) -> int:
        """The entries of a token's queries and values in all layers, of all heads.

        Heads may be wider than their share of the model's width, and keys and values are repeated for each query.
        """
        config, sizes = self._model.model.config.get_text_config(), self._model.adapter.cfg
        if getattr(config, "num_attention_heads", None) is None:
            return 0
        kinds = getattr(config, "layer_types", None)
        layers = self._model.n_layers if not kinds else sum(kind not in _WITHOUT_ATTENTION for kind in kinds)
        # With latent attention, queries have a part without and one with positions, and values a size of their own.
        latent = [getattr(config, name, None) or 0 for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")]
        entries = sum(latent) if all(latent) else 2 * sizes.d_head
        return layers * sizes.n_heads * entries

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
    """The modules of a model without those that read images or sound or pass them on, which text does not enter."""
    wanted = (model.blocks, model.model.get_output_embeddings())
    outside = {
        id(module)
        for whole in model.model.modules()
        if any(isinstance(part, PreTrainedModel) and not _holds(part, wanted[:1]) for part in whole.children())
        for part in whole.children()
        if not _holds(part, wanted)
        for module in part.modules()
    }
    yield from (module for module in model.model.modules() if id(module) not in outside)


def _holds(whole: nn.Module, wanted: Collection[nn.Module | None]) -> bool:
    return any(part is each for part in whole.modules() for each in wanted)
