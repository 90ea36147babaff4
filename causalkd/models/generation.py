"""Continue prompts with transformers' own `generate`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import (
    Cache,
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
)

from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import check_padding, most_tokens, stock_inputs


@dataclass(frozen=True)
class Sampling:
    """The sampling settings."""

    max_tokens: int
    """The largest number of new tokens per row."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest token (with a mixture, of the model that is drawn for the token)."""
    longest: int | None = None
    """The largest number of tokens of a row with its prompt; None means the positions of the models that write."""
    ends: tuple[int, ...] = ()
    """The tokens that end a row, in addition to the end tokens of the tokenizer and of the checkpoint's generation
    settings."""


class Mixture(NamedTuple):
    """Another model that samples a share of the tokens (teacher-mixed sampling: Gu et al. 2024, arXiv 2306.08543)."""

    model: HookedModel
    share: float
    """The probability, 0 to 1, that a token is sampled from this model."""


class Continued(NamedTuple):
    """Prompts with the generated tokens after them."""

    inputs: Inputs
    """`input_ids`, `attention_mask`; padded on the left before a prompt, on the right after an end token."""
    new: Bool[Tensor, "batch pos"]
    """True at generated tokens, the end token included."""


def continue_prompts(
    model: HookedModel, prompts: Inputs, sampling: Sampling, seed: int, mixture: Mixture | None = None
) -> Continued:
    """Continue some prompts with a model; modes and the global random state are unchanged afterwards.

    The checkpoint's own generation settings (a repetition penalty, beams, …) are ignored, except its end tokens:
    only `sampling` counts.

    Args:
        model: A causal LM with a tokenizer; dropout is off meanwhile.
        prompts: Padded on the left.
        sampling: The sampling settings; a row with a longer prompt ends before the others.
        seed: All samples are a function of it, the prompts and the weights.
        mixture: The model that samples a share of the tokens.

    Raises:
        ValueError: The model does not generate text, has no tokenizer or takes no prompts of different lengths, or a
            prompt leaves no room.
    """
    pad, ends = _special_ids(model, sampling)
    models = [model] if mixture is None else [model, mixture.model]
    for each in models:
        check_padding(each.model, prompts["attention_mask"].bool())
    lengths, longest = prompts["attention_mask"].sum(1), _longest(models, sampling)
    most = (longest - lengths).clamp(max=sampling.max_tokens)
    if int(most.min()) < 1:
        raise ValueError(
            f"prompts of {int(lengths.max())} tokens leave no room in {model}, where a row has at most {longest}; "
            "shorten the prompts"
        )

    def draw(prompts: Inputs, tokens: int) -> Int[Tensor, "batch pos"]:
        config = GenerationConfig(
            max_new_tokens=tokens, pad_token_id=pad, eos_token_id=ends, **_drawing(model, sampling, mixture)
        )
        processors = LogitsProcessorList([] if mixture is None else [_Mixed(mixture, prompts, sampling.temperature)])
        ids = model.model.generate(  # type: ignore[operator]
            **_stock_inputs(model.model, prompts["input_ids"], prompts["attention_mask"]),
            generation_config=config,
            logits_processor=processors,
        )
        assert isinstance(ids, Tensor)
        return ids

    # Seeding changes every CUDA device, so all their random states are restored; PyTorch cannot fork those of MPS.
    devices = range(torch.cuda.device_count())
    with torch.no_grad(), evaluating(models), _own_settings_aside(model.model), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return _written(draw, prompts, most, pad, torch.tensor(ends, device=lengths.device))


def left_padded(inputs: Inputs, lengths: Int[Tensor, "batch"], pad_id: int) -> dict[str, Int[Tensor, "batch prompt"]]:
    """The first `lengths` real tokens of each row, padded on the left as generation needs them."""
    ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
    width = int(lengths.max())
    position = torch.arange(width, device=ids.device) - (width - lengths)[:, None]  # negative before the prompt
    kept = position >= 0
    first = real.long().argmax(1, keepdim=True)
    taken = ids.gather(1, (first + position.clamp(min=0)).clamp(max=ids.shape[1] - 1))
    return {"input_ids": taken.masked_fill(~kept, pad_id), "attention_mask": kept.long()}


def _special_ids(model: HookedModel, sampling: Sampling) -> tuple[int, list[int]]:
    """The padding token, and the tokens that end a row."""
    tokenizer = model.tokenizer
    if model.task != "causal_lm" or tokenizer is None or tokenizer.eos_token_id is None:
        lack = f"its task is {model.task}" if model.task != "causal_lm" else "it has no tokenizer with an end token"
        raise ValueError(f"{model} does not generate text: {lack}; use a causal LM with its tokenizer")
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    settings = model.model.generation_config
    own = [] if settings is None else settings.eos_token_id
    known = [end, *(own if isinstance(own, list) else [own]), *sampling.ends]
    ends = list(dict.fromkeys(each for each in known if isinstance(each, int) and each < model.vocabulary))
    return (tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else end), ends


def _drawing(model: HookedModel, sampling: Sampling, mixture: Mixture | None) -> dict[str, Any]:
    padding = [] if model.entries is None else list(range(model.entries, model.vocabulary))
    suppressed = {"suppress_tokens": padding} if padding else {}
    if sampling.temperature == 0 and mixture is None:
        return {"do_sample": False, **suppressed}
    # A mixture already consists of distributions at the temperature; also at 0 it is drawn whose token is taken.
    temperature = 1.0 if mixture else sampling.temperature
    return {"do_sample": True, "top_k": 0, "temperature": temperature, **suppressed}


def _stock_inputs(model: PreTrainedModel, ids: Int[Tensor, "batch pos"], mask: Int[Tensor, "batch pos"]) -> Inputs:
    """Rows as a `HookedModel` reads them: transformers' own generation counts positions from 0 in every decoder."""
    return stock_inputs(model, {"input_ids": ids, "attention_mask": mask}, decodes=True)


def _longest(models: list[HookedModel], sampling: Sampling) -> int:
    positions = min(most_tokens(each.model) for each in models)
    return positions if sampling.longest is None else min(positions, sampling.longest)


@contextmanager
def _own_settings_aside(model: PreTrainedModel) -> Iterator[None]:
    """Clears the checkpoint's generation settings meanwhile, which transformers uses for settings that a call omits."""
    own = model.generation_config
    try:
        model.generation_config = GenerationConfig()
        yield
    finally:
        model.generation_config = own


def _written(
    draw: Callable[[Inputs, int], Tensor],
    prompts: Inputs,
    most: Int[Tensor, "batch"],
    pad: int,
    ends: Int[Tensor, " end"],
) -> Continued:
    """Prompts continued by at most `most` tokens each.

    All rows of a call grow equally, finished ones by padding, which takes positions too. So all are continued as far as
    the fullest row has room, and those that are not finished and have more room continue without it.
    """
    tokens = int(most.min())
    found = _continued(prompts, draw(prompts, tokens), ends)
    ids, mask, new = found.inputs["input_ids"], found.inputs["attention_mask"], found.new
    going = (most > tokens) & new[:, -1] & ~torch.isin(ids[:, -1], ends)
    if not going.any():
        return found
    begun = left_padded({"input_ids": ids[going], "attention_mask": mask[going]}, mask[going].sum(1), pad)
    rest = _written(draw, begun, most[going] - tokens, pad, ends)
    added = slice(begun["input_ids"].shape[1], None)

    def joined(all_rows: Tensor, of_going: Tensor, filler: int) -> Tensor:
        wide = functional.pad(all_rows, (0, of_going[:, added].shape[1]), value=filler)
        wide[going, all_rows.shape[1] :] = of_going[:, added]
        return wide

    inputs = {
        "input_ids": joined(ids, rest.inputs["input_ids"], pad),
        "attention_mask": joined(mask, rest.inputs["attention_mask"], 0),
    }
    return Continued(inputs, joined(new, rest.new, 0))


def _continued(prompts: Inputs, ids: Int[Tensor, "batch pos"], ends: Int[Tensor, " end"]) -> Continued:
    width = prompts["input_ids"].shape[1]
    is_end = torch.isin(ids[:, width:], ends)
    ended = is_end.long().cumsum(1)
    new = (ended == 0) | (is_end & (ended == 1))
    mask = torch.cat([prompts["attention_mask"], new.long()], 1)
    before = torch.zeros_like(prompts["attention_mask"], dtype=torch.bool)
    return Continued({"input_ids": ids, "attention_mask": mask}, torch.cat([before, new], 1))


def _log_odds(logits: Float[Tensor, "batch vocab"], temperature: float) -> Float[Tensor, "batch vocab"]:
    """Log-probabilities at a temperature; at 0 the likeliest token has all."""
    if temperature == 0:
        return torch.full_like(logits, -torch.inf).scatter(1, logits.argmax(1, keepdim=True), 0.0)
    return (logits / temperature).log_softmax(-1)


class _Mixed(LogitsProcessor):
    """Log-probabilities of the mixture, from the scores of the model that generates."""

    def __init__(self, mixture: Mixture, prompts: Inputs, temperature: float) -> None:
        self._entries = mixture.model.entries
        self._other, self._share = mixture.model.model, torch.tensor(mixture.share, device=mixture.model.model.device)
        self._mask = prompts["attention_mask"]
        self._temperature = temperature
        self._options = mixture.model.options
        # Models without attention, such as Mamba, keep states of another kind: these read the whole rows each time.
        keeps = "past_key_values" in signature(self._other.forward).parameters
        self._cache: Cache | None = DynamicCache(config=self._other.config) if keeps else None

    def __call__(
        self, input_ids: Int[Tensor, "batch pos"], scores: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        grown = input_ids.shape[1] - self._mask.shape[1]
        self._mask = functional.pad(self._mask, (0, grown), value=1)
        logits = self._logits(input_ids)[:, -1, : self._entries].to(scores.dtype)
        other = _log_odds(logits, self._temperature)
        # The vocabulary of the writing model may be padded to another size, by entries that are never sampled.
        other = functional.pad(other, (0, scores.shape[1] - other.shape[1]), value=-torch.inf)
        own = _log_odds(scores, self._temperature)
        return torch.logaddexp(other + self._share.log(), own + (-self._share).log1p())

    def _logits(self, input_ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch new vocab"]:
        """The other model's logits, up to those of the next token."""
        given = _stock_inputs(self._other, input_ids, self._mask)
        if self._cache is None:
            return self._other(**given, **self._options).logits
        unseen = input_ids.shape[1] - self._cache.get_seq_length()
        # The mask is of all keys, those in the cache included; the rest is of the tokens that are not in it yet.
        new = {name: each if name == "attention_mask" else each[:, -unseen:] for name, each in given.items()}
        return self._other(**new, past_key_values=self._cache, use_cache=True).logits
