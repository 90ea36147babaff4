"""A self-test of a model before it is used: assumptions about it are tried in a few forward passes of a few tokens."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from causalkd.models.hooks.forward import ForwardOutput, Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.measure import NOT_RUNNING, advice, can_run, few_tokens, still
from causalkd.models.hooks.model_inputs import most_tokens, padding_id, takes_left_padding
from causalkd.models.hooks.split_head import logits_of

_LONG = 6  # tokens of the longer row, or as many as the model has positions; the shorter row has two fewer
# Heads that predict at every position, so that logits can be computed at some positions alone.
_PER_TOKEN = ("causal_lm", "masked_lm", "token_classification")


def self_test(model: HookedModel) -> None:
    """Refuses a model on which hooks, padding or a forward pass that starts late do not do what they must.

    A stock forward and one with hooks must agree; a short row must come out of a padded batch as it does alone, padded
    on the right and, of a decoder that takes it, on the left; activations put back where they were read, and a forward
    that starts at the middle or the last block, must change nothing. Differences are relative to the size of what is
    compared.

    Costs eight forwards of at most twelve tokens.

    Raises:
        ValueError: One of these is false; the message says where and by how much.
    """
    if not can_run(model.model):
        return
    try:
        with still(model.model):
            faults = _faults(model)
    except NOT_RUNNING as error:
        raise ValueError(
            f"{model.architecture} cannot be used, because a self-test of a few tokens failed "
            f"({type(error).__name__}: {error}); {advice(model.model)}"
        ) from error
    if faults:
        listed = "\n".join(f"- {fault}" for fault in faults)
        raise ValueError(
            f"{model.architecture} cannot be used, because a self-test of a few tokens found:\n{listed}\n"
            f"What can be done: {advice(model.model)}"
        )


def _faults(model: HookedModel) -> list[str]:
    limit = _limit(model)
    both = few_tokens(model.model, 2, _longest(model))
    n_short = _n_short(both)
    alone = {name: tensor[1:, :n_short] for name, tensor in both.items()}
    padded = _padded(model, both, "right")
    run = model.run(padded, model.hook_points())
    short = model.run(alone)
    faults = [
        _fault(
            "with hooks the stock logits differ", logits_of(model.model(**alone, **model.options)), short.logits, limit
        ),
        _fault(
            "a row that is padded on the right differs from the row alone",
            short.hidden,
            run.hidden[1:, :n_short],
            limit,
        ),
        *_resumed(model, padded, run, limit),
        *_put_back(model, padded, run, limit),
    ]
    if takes_left_padding(model.model, decodes=model.decodes):
        left = model.run(_padded(model, both, "left"))
        ends = left.hidden[1:, -n_short:]
        faults.append(_fault("a row that is padded on the left differs from the row alone", short.hidden, ends, limit))
    if model.decodes or model.task == "causal_lm":
        begun = model.run({name: tensor[:1, :n_short] for name, tensor in both.items()})
        faults.append(_fault("later tokens change a token", begun.hidden, run.hidden[:1, :n_short], limit))
    return [fault for fault in faults if fault is not None]


def _resumed(model: HookedModel, inputs: Inputs, run: ForwardOutput, limit: float) -> list[str | None]:
    """The change of a forward pass that starts at a block; a per-token head predicts at two positions only."""
    faults: list[str | None] = []
    real = inputs["attention_mask"].flatten().nonzero()[:, 0]
    at = real[[0, -1]] if model.task in _PER_TOKEN else None
    expected = run.logits if at is None else run.logits.flatten(0, 1)[at]
    for layer in sorted({model.n_layers // 2, model.n_layers - 1}):
        entry = run.activations[model.hook_point("block_input", layer)]
        with model.resumed(layer, entry):
            again = model.run(inputs, logits_at=at)
        faults.append(_fault(f"a forward that starts at block {layer} differs", expected, again.logits, limit))
    return faults


def _put_back(model: HookedModel, inputs: Inputs, run: ForwardOutput, limit: float) -> list[str | None]:
    """The change after putting back every activation where it was read, at the hook point where it is first seen."""
    with model.hooks([(hook_point, partial(_kept, run, hook_point)) for hook_point in model.hook_points()]):
        again = model.run(inputs, model.hook_points())
    for hook_point in model.hook_points():
        fault = _fault(
            f"activations put back at {hook_point.name} differ",
            run.activations[hook_point],
            again.activations[hook_point],
            limit,
        )
        if fault is not None:
            return [fault]
    return [_fault("activations put back where they were read change the logits", run.logits, again.logits, limit)]


def _kept(run: ForwardOutput, hook_point: HookPoint, now: Tensor) -> Tensor:
    return run.activations[hook_point].clone()


def _longest(model: HookedModel) -> int:
    return min(_LONG, most_tokens(model.model))


def _n_short(both: Mapping[str, Tensor]) -> int:
    return max(1, both["input_ids"].shape[1] - 2)


def _padded(model: HookedModel, both: Mapping[str, Tensor], side: str) -> dict[str, Tensor]:
    """The two rows, of which the second is the shorter one with padding."""
    pad = padding_id(model.model)
    ids, mask = both["input_ids"].clone(), both["attention_mask"].clone()
    n_short = _n_short(both)
    gone = slice(n_short, None) if side == "right" else slice(None, -n_short)
    if side == "left":
        ids[1, -n_short:] = both["input_ids"][1, :n_short]
    ids[1, gone], mask[1, gone] = 0 if pad is None else pad, 0
    return {"input_ids": ids, "attention_mask": mask}


def _limit(model: HookedModel) -> float:
    """The allowed relative difference between two ways to the same numbers: rounding adds up over the blocks."""
    is_coarse = torch.finfo(model.model.dtype).eps > 1e-4 or model.model.config.to_dict().get("quantization_config")
    return 0.15 if is_coarse else 2e-3


def _fault(what: str, expected: Tensor, found: Tensor, limit: float) -> str | None:
    if expected.shape != found.shape:
        return f"{what}: {tuple(found.shape)} values were found where {tuple(expected.shape)} are expected"
    expected, found = expected.float(), found.float()
    if not expected.isfinite().all():
        return None  # the hooks are not the reason for such weights
    apart = ((found - expected).norm() / expected.norm().clamp_min(1e-12)).item()
    return None if apart <= limit else f"{what} by {apart:.2g} of their size, where {limit:g} is rounding"
