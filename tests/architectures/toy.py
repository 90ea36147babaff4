"""A model class that neither transformers nor TransformerLens knows: a causal language model without positions."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput


class ToyConfig(PreTrainedConfig):
    model_type = "toy"

    def __init__(
        self,
        hidden_size: int = 8,
        num_hidden_layers: int = 3,
        vocab_size: int = 31,
        max_position_embeddings: int = 64,
        **kwargs: Any,
    ) -> None:
        self.max_position_embeddings = max_position_embeddings  # the longest row; there is no embedding of positions
        self.hidden_size, self.num_hidden_layers, self.vocab_size = hidden_size, num_hidden_layers, vocab_size
        self.num_attention_heads = 2
        super().__init__(**kwargs)


class ToyMixer(nn.Module):
    """Each token gets the mean of the values up to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        weight = mask[..., None].to(hidden.dtype)
        total = (weight * self.value(hidden)).cumsum(1)
        return self.out(total / weight.cumsum(1).clamp(min=1))


class ToyBlock(nn.Module):
    """Returns a tuple, and wants its hidden states by name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixer, self.up, self.down = ToyMixer(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, hidden_states: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        hidden = hidden_states + self.mixer(hidden_states, mask)
        return hidden + self.down(torch.tanh(self.up(hidden))), None


class ToyPreTrained(PreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "body"
    _input_embed_layer = "tokens"


class ToyModel(ToyPreTrained):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(ToyBlock(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        hidden = self.tokens(input_ids)
        for layer in self.layers:
            hidden = layer(hidden_states=hidden, mask=attention_mask)[0]
        return BaseModelOutput(last_hidden_state=hidden)


class ToyForCausalLM(ToyPreTrained):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.body, self.head = ToyModel(config), nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> CausalLMOutput:
        return CausalLMOutput(logits=self.head(self.body(input_ids, attention_mask)[0]))
