"""Attribution maps: one score for each position of each row and view, with their settings, and their files."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad

from causalkd.attribution.integrated_gradients import Baseline, attributions_at
from causalkd.attribution.targets import Target, Views, at_least_float32
from causalkd.errors import check_choice
from causalkd.files.html_table import coloured_tokens
from causalkd.files.refusals import refused
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete
from causalkd.models.hooks.start_at import hook_point_of
from causalkd.task_types import LANGUAGE_MODELS

_SHOWN = 5
"""The number of texts that a notebook shows."""
Reduction = Literal["sum", "norm"]
"""The reduction of a position's dimensions to its score: their signed sum, which is complete, or AD-KD's norm."""


@dataclass(frozen=True)
class Provenance:
    """The settings of a map.

    Attributes:
        model: Class of the stock model.
        hook_point: TransformerLens' name of the hook point.
        target: The scalar that is explained.
        steps: Number of steps; 1 from a zero baseline is input × gradient.
        baseline: Start of the path; `given` for a tensor.
        reduction: `sum` or `norm`.
        attention: transformers' attention implementation.
    """

    model: str
    hook_point: str
    target: str
    steps: int
    baseline: str
    reduction: str
    attention: str


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """The scores of a batch.

    Attributes:
        scores: One score per position, in units of the target; 0 at padding.
        mask: True at real tokens.
        tokens: The token at each position of each row.
        views: The explained output, by view and row, such as `entailment` or `Paris @ 5`.
        gap: Σ attributions − (F(input) − F(baseline)), in units of the target.
        made: The settings.
    """

    scores: Float[Tensor, "view batch pos"]
    mask: Bool[Tensor, "batch pos"]
    tokens: tuple[tuple[str, ...], ...]
    views: tuple[tuple[str, ...], ...]
    gap: Float[Tensor, "view batch"]
    made: Provenance

    def _repr_html_(self) -> str:
        """The first texts under the first view, tokens coloured by their share of the text's attribution."""
        lines = []
        for row in range(min(_SHOWN, len(self.tokens))):
            kept = self.mask[row].nonzero()[:, 0].tolist()
            scores = self.scores[0, row, kept]
            shares = (scores / scores.abs().sum().clamp(min=torch.finfo(scores.dtype).tiny)).tolist()
            tokens = coloured_tokens([self.tokens[row][position] for position in kept], shares)
            lines.append(f"<p><b><bdi>{escape(self.views[0][row])}</bdi></b>: {tokens}</p>")
        more = len(self.tokens) - len(lines)
        rest = f"<p>and {more} more texts</p>" if more else ""
        return f"<div><p>{escape(self.made.model)} at {escape(self.made.hook_point)}</p>{''.join(lines)}{rest}</div>"

    def save(self, path: str | Path) -> None:
        """Write a safetensors file whose header holds the words; `load` gives an equal map, bit by bit."""
        words = {"tokens": self.tokens, "views": self.views, "made": asdict(self.made)}
        tensors = {"scores": self.scores, "mask": self.mask, "gap": self.gap}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"map": json.dumps(words)})

    @classmethod
    def join(cls, parts: Sequence["AttributionMap"]) -> "AttributionMap":
        """The maps of several batches with the same settings, concatenated and padded on the right.

        Raises:
            ValueError: There are no maps, or they differ in their settings or in their number of views.
        """
        made = dict.fromkeys((part.made, len(part.views)) for part in parts)
        if len(made) != 1:
            found = ", ".join(f"{views} views of {settings}" for settings, views in made) or "no map"
            raise ValueError(f"{found} given; only maps that were made with the same settings can be joined")
        width = max(part.mask.shape[1] for part in parts)
        scores, masks = (
            torch.cat([pad(each, (0, width - each.shape[-1])) for each in kind], dim=-2)
            for kind in ([part.scores for part in parts], [part.mask for part in parts])
        )
        tokens = tuple(row + ("",) * (width - len(row)) for part in parts for row in part.tokens)
        views = tuple(tuple(chain(*each)) for each in zip(*(part.views for part in parts), strict=True))
        return cls(scores, masks, tokens, views, torch.cat([part.gap for part in parts], dim=1), parts[0].made)

    @classmethod
    def load(cls, path: str | Path) -> "AttributionMap":
        """Read a map from a file that `save` wrote.

        Raises:
            ValueError: There is no such file, or it does not hold a map.
        """
        if not Path(path).is_file():
            raise ValueError(f"there is no attribution map at {path}; check the path")
        with (
            refused(f"{path} holds no attribution map", "AttributionMap.save writes one"),
            safe_open(path, "pt") as file,
        ):
            words = json.loads((file.metadata() or {})["map"])
            scores, mask, gap = (file.get_tensor(name) for name in ("scores", "mask", "gap"))
            tokens, views = (tuple(map(tuple, words[name])) for name in ("tokens", "views"))
            return cls(scores, mask, tokens, views, gap, Provenance(**words["made"]))


def attribution_map(
    model: HookedModel,
    inputs: Inputs,
    views: Views,
    *,
    hook_point: HookPoint | str | None = None,
    steps: int = 32,
    baseline: Baseline | Float[Tensor, "..."] = "zero",
    target: Target = "probability",
    reduction: Reduction = "sum",
) -> AttributionMap:
    """The map of a batch: how much each token moved each view's target, by integrated gradients.

    Costs and errors are those of `integrated_gradients`, and for each model and text the scores of a `sum` add up to
    F(text) − F(baseline), but for the `gap` that more steps make smaller.

    Args:
        model: The model that is explained.
        inputs: `input_ids`, `attention_mask`, …: (batch, pos), padded on either side.
        views: The outputs to explain: `class_views`, `label_views` or `token_views`.
        hook_point: The hook point of the path; None for the output of the embeddings.
        steps: The number of steps, at least 1.
        baseline: The start of the path: `zero`, the `mean` of the row's tokens, its tokens masked, or a tensor.
        target: F, the scalar of each view.
        reduction: `sum` is signed; `norm` is AD-KD's (Wu et al. 2023, arXiv 2305.10010), and does not add up.
    """
    points = [hook_point_of(model, hook_point)]
    maps = attribution_maps(
        model, inputs, views, points, steps=steps, baseline=baseline, target=target, reduction=reduction
    )
    return maps[0]


def attribution_maps(
    model: HookedModel,
    inputs: Inputs,
    views: Views,
    hook_points: Sequence[HookPoint],
    *,
    steps: int = 32,
    baseline: Baseline | Float[Tensor, "..."] = "zero",
    target: Target = "probability",
    reduction: Reduction = "sum",
) -> list[AttributionMap]:
    """The maps of a batch at several hook points, whose activations are read in one forward."""
    check_choice("reduction", reduction, get_args(Reduction))
    inputs = complete(inputs)
    found = attributions_at(model, inputs, views, hook_points, steps=steps, baseline=baseline, target=target)
    tokens = tuple(tuple(_words(model, row)) for row in inputs["input_ids"].tolist())
    mask, names = inputs["attention_mask"].bool(), _names(model, views)
    maps = []
    for hook_point, each in zip(hook_points, found, strict=True):
        values = each.values.sum(-1) if reduction == "sum" else token_norms(each.values)
        start = baseline if isinstance(baseline, str) else "given"
        made = Provenance(model.architecture, hook_point.name, target, steps, start, reduction, each.attention)
        maps.append(AttributionMap(values.where(mask, 0).cpu(), mask.cpu(), tokens, names, each.gap.cpu(), made))
    return maps


def token_norms(
    values: Float[Tensor, "view batch pos width"], top_k: int | None = None
) -> Float[Tensor, "view batch pos"]:
    """The Euclidean norm of each position's attributions, over the `top_k` largest dimensions if given (AD-KD, eq. 5).

    It is computed in float32 at least: the squares of float16's small numbers are 0.
    """
    if top_k is not None and top_k < values.shape[-1]:
        values = values.abs().topk(top_k, dim=-1, sorted=False).values
    return torch.linalg.vector_norm(at_least_float32(values), dim=-1)


def _names(model: HookedModel, views: Views) -> tuple[tuple[str, ...], ...]:
    named = [_choices(model, chosen) for chosen in views.choice.tolist()]
    if views.position is not None:
        named = [[f"{word} @ {at}" for word, at in zip(row, views.position.tolist(), strict=True)] for row in named]
    return tuple(map(tuple, named))


def _choices(model: HookedModel, chosen: Sequence[int]) -> list[str]:
    if model.task in LANGUAGE_MODELS:
        return _words(model, chosen)
    names = label_names(model)
    return [names[each] if names else "output" for each in chosen]


def _words(model: HookedModel, ids: Sequence[int]) -> list[str]:
    if model.tokenizer is None:
        return [str(each) for each in ids]
    return [str(word) for word in model.tokenizer.convert_ids_to_tokens(list(ids))]
