"""The last linear map of a head over a vocabulary: where it is, and forwards that stop before it.

The logits over a vocabulary are the largest tensor of a training step, and losses need only a few rows at a time. So a
forward leaves the map out and returns its input. Everything else of a head (BERT's transform, OPT's projection) runs as
always; the operations after the map (a scale, a soft cap) are known by their number in the configuration.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from causalkd.models.hooks.measure import NOT_RUNNING, can_run, few_tokens, still
from causalkd.task_types import LANGUAGE_MODELS, Task

_LOG = logging.getLogger(__name__)
# A configuration's names for the numbers of the operations after the map: factors of the logits, and their cap.
_FACTORS, _DIVISORS, _CAP = ("logit_scale", "lm_head_multiplier"), ("logits_scaling",), "final_logit_softcapping"

# Trained models' logits are about as large, so that caps of them, usually 30 or 50, change such values.
_LARGE = 64.0
# The logits are rounded as often as the stock ones, but for a division instead of a factor.
_ROUNDINGS = 8


def logits_of(output: Mapping[str, Tensor], entries: int | None = None) -> Tensor:
    """The logits of a stock output, for the first `entries` choices if given; for answers those of both ends."""
    if "logits" in output:
        return output["logits"] if entries is None else output["logits"][..., :entries]
    return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)


@dataclass(frozen=True, eq=False)
class UnprojectedLogits:
    """Logits that are not computed yet: c · tanh(s (W h + b) / c) with the cap c, or s (W h + b) without one.

    Attributes:
        hidden: The input of the head's last linear map.
        weight: W, perhaps of the first entries of the vocabulary alone.
        bias: b.
        scale: s.
        cap: c.
        dtype: The dtype in which the head computes.
        has_graph: Whether the forward had a graph.
        stand_in: The stock forward's output: logits of no choice, in the same graph as the logits would be.
    """

    hidden: Float[Tensor, "*batch width"]
    weight: Float[Tensor, "choice width"]
    bias: Float[Tensor, " choice"] | None
    scale: float
    cap: float | None
    dtype: torch.dtype
    has_graph: bool
    stand_in: Tensor

    @property
    def shape(self) -> torch.Size:
        """The shape of the logits."""
        return torch.Size([*self.hidden.shape[:-1], len(self.weight)])

    def whole(self) -> Float[Tensor, "*batch choice"]:
        """The logits, as the stock forward would have given them."""
        with torch.set_grad_enabled(self.has_graph), torch.autocast(self.hidden.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.to(self.dtype)
            logits = F.linear(self.hidden.to(self.dtype), self.weight.to(self.dtype), bias)
            logits = logits if self.scale == 1 else logits * self.scale
            logits = logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap
            return logits.to(self.stand_in.dtype)

    def flatten(self, start: int, stop: int) -> "UnprojectedLogits":
        """The same with some dimensions of rows as one."""
        return replace(self, hidden=self.hidden.flatten(start, stop))

    def detach(self) -> "UnprojectedLogits":
        """The same without a graph."""
        bias = None if self.bias is None else self.bias.detach()
        hidden, weight, stand_in = self.hidden.detach(), self.weight.detach(), self.stand_in.detach()
        return replace(self, hidden=hidden, weight=weight, bias=bias, stand_in=stand_in, has_graph=False)

    def __getitem__(self, rows: Int[Tensor, " row"] | slice) -> "UnprojectedLogits":
        """Some rows of the first dimension."""
        return replace(self, hidden=self.hidden[rows])


class SplitHead:
    """A model's head without its last linear map.

    Args:
        model: A stock model.
        task: The task of its head; a head that is not over a vocabulary stays whole.
        options: Further arguments of its forwards.
    """

    def __init__(self, model: PreTrainedModel, task: Task, options: Mapping[str, bool]) -> None:
        self._model, self._has_told = model, False
        self._found = _find(model, options) if task in LANGUAGE_MODELS else None

    @contextmanager
    def left_out(self) -> "Iterator[list[tuple[Tensor, Tensor]] | None]":
        """Forwards inside leave the map out; gives the list into which they put its input and the stand-in.

        None if the head cannot be split: the forwards are whole then, and one warning says so.
        """
        if self._found is None:
            yield None
            return
        reason = self._found if isinstance(self._found, str) else _not_now(self._model, self._found.linear)
        if reason is not None:
            self._tell(reason)
            yield None
            return
        assert isinstance(self._found, _Found)
        with _without(self._found.linear) as entered:
            yield entered

    def predictions(
        self, output: Mapping[str, Tensor], entered: list[tuple[Tensor, Tensor]] | None, entries: int | None
    ) -> Tensor | UnprojectedLogits:
        """The predictions of a forward, for the first `entries` choices if given.

        Args:
            output: The output of the stock forward.
            entered: The result of `left_out`.
            entries: The number of entries of the vocabulary that have a logit.
        """
        if entered is None:
            return logits_of(output, entries)
        assert isinstance(self._found, _Found)
        ((hidden, stand_in),) = entered
        return replace(self._found.logits(hidden, stand_in, entries), stand_in=logits_of(output))

    def _tell(self, reason: str) -> None:
        if not self._has_told:
            self._has_told = True
            _LOG.warning(
                "%s computes the logits of its whole vocabulary at once, because %s.",
                type(self._model).__name__,
                reason,
            )


@dataclass(frozen=True, eq=False)
class _Found:
    linear: nn.Linear
    scale: float
    cap: float | None

    def logits(self, hidden: Tensor, stand_in: Tensor, entries: int | None = None) -> UnprojectedLogits:
        """The logits that the map would have given, for the first `entries` choices if given."""
        weight, bias = self.linear.weight, self.linear.bias
        if entries is not None:
            weight, bias = weight[:entries], None if bias is None else bias[:entries]
        graph = torch.is_grad_enabled()
        return UnprojectedLogits(hidden, weight, bias, self.scale, self.cap, stand_in.dtype, graph, stand_in)


@contextmanager
def _without(linear: nn.Linear) -> Iterator[list[tuple[Tensor, Tensor]]]:
    entered: list[tuple[Tensor, Tensor]] = []

    def stop(input: Tensor) -> Tensor:
        bias = None if linear.bias is None else linear.bias[:0]
        stand_in = F.linear(input, linear.weight[:0], bias)
        entered.append((input, stand_in))
        return stand_in

    linear.forward = stop  # a module's own attribute comes before its class's
    try:
        yield entered
    finally:
        del linear.forward


@contextmanager
def _giving(linear: nn.Linear, values: Tensor) -> Iterator[None]:
    linear.forward = lambda input: values
    try:
        yield
    finally:
        del linear.forward


def _not_now(model: PreTrainedModel, linear: nn.Linear) -> str | None:
    """Why the map cannot be left out as it is now."""
    if model.get_output_embeddings() is not linear:
        return "the last linear map of its head is another than when it was looked for"
    if linear._forward_hooks or linear._forward_pre_hooks or "forward" in vars(linear):
        return "something else hooks into the last linear map of its head"
    if type(linear.weight) is not nn.Parameter or linear.weight.shape != (linear.out_features, linear.in_features):
        return "the weight of its head is not held as a whole"
    return None


def _find(model: PreTrainedModel, options: Mapping[str, bool]) -> _Found | str:
    """The map with the scale and cap after it; or why it cannot be left out."""
    linear = model.get_output_embeddings()
    if type(linear) is not nn.Linear:
        ends = "nothing that it names" if linear is None else type(linear).__name__
        return f"its head ends in {ends}, no plain nn.Linear"
    if not can_run(model):
        return "its weights are not in memory"
    if (reason := _not_now(model, linear)) is not None:
        return reason
    settings: Mapping[str, Any] = model.config.get_text_config().to_dict()
    found = _Found(linear, _scale(settings), settings.get(_CAP))
    try:
        with still(model):
            return _tried(model, found, options)
    except NOT_RUNNING as error:
        return f"its head does not run without its last linear map ({type(error).__name__}: {error})"


def _tried(model: PreTrainedModel, found: _Found, options: Mapping[str, bool]) -> _Found | str:
    """The found map, if it gives the stock logits from a few tokens' hidden states, as large as trained ones."""
    inputs, linear = few_tokens(model), found.linear
    with _without(linear) as entered:
        without = model(**inputs, **options)["logits"]
    if len(entered) != 1 or without.shape[-1] != 0:
        return "the last linear map of its head is not called once in a forward"
    hidden = _loud(entered[0][0], linear)
    with _giving(linear, F.linear(hidden, linear.weight, linear.bias)):
        whole = model(**inputs, **options)["logits"]
    # Some heads give their logits in another type than they compute them in.
    made = replace(found.logits(hidden, entered[0][1]), stand_in=without)
    tolerance = _ROUNDINGS * max(torch.finfo(dtype).eps for dtype in (made.dtype, whole.dtype))
    if made.shape == whole.shape and torch.allclose(made.whole(), whole, rtol=tolerance, atol=tolerance):
        return found
    return "its head changes what its last linear map gives in a way that its configuration does not tell"


def _loud(hidden: Tensor, linear: nn.Linear) -> Tensor:
    """Hidden states times the power of two by which the map gives values up to some `_LARGE`: a cap shows at these."""
    size = F.linear(hidden, linear.weight).abs().max().item()
    return hidden * 2.0 ** round(math.log2(_LARGE / size)) if 0 < size < math.inf else hidden


def _scale(settings: Mapping[str, Any]) -> float:
    scale = 1.0
    for name in _FACTORS:
        scale *= settings.get(name) or 1.0
    for name in _DIVISORS:
        scale /= settings.get(name) or 1.0
    return scale
