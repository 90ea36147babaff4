"""One interchange as pyvene runs it, on a model that is left as it was."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from causalkd.alignment.pyvene.architectures import pyvene
from causalkd.alignment.spec import Site
from causalkd.data.positions import Positions

Inputs = Mapping[str, Tensor]
_HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
          "_forward_pre_hooks_with_kwargs")  # fmt: skip


@contextmanager
def kept(model: PreTrainedModel) -> Iterator[None]:
    """Puts back the mode, `requires_grad` and hooks, all of which pyvene overwrites."""
    modes = {module: module.training for module in model.modules()}
    wanted = {weight: weight.requires_grad for weight in model.parameters()}
    hooks = [(getattr(module, name), dict(getattr(module, name))) for module in model.modules() for name in _HOOKS]
    try:
        yield
    finally:
        for table, before in hooks:
            table.clear()
            table.update(before)
        for weight, value in wanted.items():
            weight.requires_grad_(value)
        for module, value in modes.items():
            module.training = value


def run_pyvene(
    config: PretrainedConfig,
    model: PreTrainedModel,
    base: Inputs,
    sources: Sequence[Inputs],
    unit_locations: Mapping[str, Any],
    subspaces: Sequence[Any] | None = None,
    gradients: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The counterfactual logits, and the gradient of the sum of their squares by parameter if asked for."""
    with kept(model):
        intervenable = pyvene.IntervenableModel(config, model)
        if gradients:
            intervenable.enable_model_gradients()
            model.eval()
        given = None if subspaces is None else list(subspaces)
        with torch.set_grad_enabled(gradients):
            _, output = intervenable(
                dict(base), [dict(source) for source in sources], dict(unit_locations), subspaces=given
            )
        logits = output["logits"] if "logits" in output else torch.stack(tuple(output.values())[:2], -1)
        if not gradients:
            return logits, {}
        return logits.detach(), loss_gradients(logits, model)


def loss_gradients(logits: Tensor, model: PreTrainedModel) -> dict[str, Tensor]:
    """The gradient of the sum of squared logits by every parameter that it reaches."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(logits.square().sum(), list(named.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(named, found, strict=True) if gradient is not None}


def unit_locations(sites: Sequence[Site], positions: Positions, n_heads: int) -> dict[str, Any]:
    """The positions (as many in every row) and the sites' heads, in pyvene's nested lists."""
    assert bool(positions.valid.all())
    return {"sources->base": tuple([_locations(site, side, n_heads) for site in sites]
                                   for side in (positions.source.tolist(), positions.base.tolist()))}  # fmt: skip


def _locations(site: Site, rows: list[list[int]], n_heads: int) -> list[Any]:
    if site.unit == "pos":
        return rows
    heads = list(range(n_heads)) if site.heads is None else list(site.heads)
    return [[heads for _ in rows], rows]


def subspaces(sites: Sequence[Site], batch: int) -> list[Any] | None:
    """The sites' subspaces for each row, in pyvene's nested lists; None where no site has any."""
    if all(site.subspace_partition is None for site in sites):
        return None
    return [None if site.subspace_partition is None else [_chosen(site)] * batch for site in sites]


def _chosen(site: Site) -> list[int]:
    assert site.subspace_partition is not None
    return list(range(len(site.subspace_partition)) if site.subspaces is None else site.subspaces)
