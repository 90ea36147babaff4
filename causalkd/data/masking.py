"""Masked-language-model corruption: the choice of tokens that are hidden from the model and must be predicted."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED, Inputs
from causalkd.data.rng import Index, Stream, uniforms


@dataclass(frozen=True)
class Masking:
    """The corruption of Devlin et al., 2019 (arXiv 1810.04805, section 3.1).

    Each ordinary token is chosen with probability `share`; 80 % of the chosen become the mask token, 10 % a random
    ordinary token and 10 % stay. Special tokens and padding are never chosen and never put in.
    """

    mask_id: int
    special_ids: tuple[int, ...]
    """Token ids that are never chosen, including the mask token's and the padding's."""
    vocabulary: int
    """Number of token ids."""
    share: float = 0.15
    """Probability that a token is chosen, in (0, 1]."""

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"masked share {self.share}: it is a probability; give a number in (0, 1], usually 0.15")

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, share: float = 0.15) -> "Masking":
        """The corruption with a tokenizer's mask and special tokens.

        Raises ValueError if it has no mask token.
        """
        if tokenizer.mask_token is None:
            raise ValueError(
                f"{type(tokenizer).__name__} has no mask token, which masked_lm needs. Take the tokenizer of a "
                "masked language model (BERT, RoBERTa, ...) or the task causal_lm"
            )
        mask_id = tokenizer.get_vocab()[str(tokenizer.mask_token)]
        return cls(mask_id, tuple(sorted(set(tokenizer.all_special_ids))), len(tokenizer), share)

    def corrupt(
        self, inputs: Inputs, seed: int, index: Index, epoch: int = 0
    ) -> tuple[Inputs, Int[Tensor, "batch pos"]]:
        """Corrupted inputs, and as labels the original ids of the chosen tokens, -100 elsewhere.

        What happens to a token depends only on (seed, epoch, example number, its position in the unpadded row).
        """
        ids, counted = inputs["input_ids"], inputs["attention_mask"].bool()
        place = (counted.cumsum(1) - 1).clamp(min=0)
        chance = uniforms(seed, epoch, index, Stream.MASKED_TOKENS, ids.shape[1]).gather(1, place)
        pick = uniforms(seed, epoch, index, Stream.REPLACEMENTS, ids.shape[1]).gather(1, place)
        special = torch.tensor(self.special_ids)
        ordinary = torch.arange(self.vocabulary)
        ordinary = ordinary[~torch.isin(ordinary, special)]
        chosen = counted & ~torch.isin(ids, special) & (chance < self.share)
        corrupted = ids.where(~(chosen & (chance < 0.9 * self.share)), ordinary[(pick * len(ordinary)).long()])
        corrupted = corrupted.where(~(chosen & (chance < 0.8 * self.share)), self.mask_id)
        return {**inputs, "input_ids": corrupted}, ids.where(chosen, IGNORED)
