"""Losses of logits, a few rows at a time: what a loss keeps for its backward is the gradient and nothing else.

A vocabulary's worth of logits is the largest tensor of a training step. A loss written with `log_softmax` makes five of
them and reads each from memory several times; here a chunk of rows goes through all the arithmetic while it is in the
processor's cache, and its gradient is written once.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Gradient = Callable[[], Float[Tensor, "row choice"]]
Kernel = Callable[..., tuple[Float[Tensor, " row"], Gradient]]
"""(student's logits, whatever else a row has) → the loss of each row, and how to get its gradient in those logits.

It may not write into its arguments, and no row may depend on another.
"""

# Logits in a chunk: three tensors of this size stay in a processor's cache; an accelerator wants to be kept busy.
_CHUNK_ON_CPU, _CHUNK = 2**19, 2**24


def loss_of_rows(
    kernel: Kernel,
    logits: Float[Tensor, "*batch choice"],
    others: tuple[Tensor, ...] = (),
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    """The loss of each row, 0 where the mask is false: such rows are not looked at, and may hold anything.

    Half precision is computed, and returned, in float32, under autocast too; float64 stays. The gradient is made
    together with the loss and takes one tensor the size of the logits. One host–device copy where there is a mask: how
    many rows count.

    Args:
        kernel: What to compute.
        logits: The student's logits; the only argument that receives a gradient, once (no second derivative).
        others: More of each row; what is shaped like logits is a model's logits too.
        mask: The rows that count.
        temperature: Divides all logits.

    Raises:
        ValueError: A gradient is needed for something other than the student's logits, the arguments have other rows or
            choices, or the temperature is not a positive number.
    """
    check_temperature(temperature)
    if torch.is_grad_enabled() and any(other.requires_grad for other in others):
        raise ValueError(
            "the teacher's logits require a gradient, and only the student's get one; run the teacher under "
            "torch.no_grad()"
        )
    for other in others:
        if other.shape not in (logits.shape, logits.shape[:-1]):
            raise ValueError(
                f"the student's logits are of shape {tuple(logits.shape)}, and what they are compared with is of shape "
                f"{tuple(other.shape)}; both must be of the same rows, and a teacher's logits of the same vocabulary"
            )
    counted = None if mask is None else _counted(mask.flatten())
    rows = (-1, logits.shape[-1])
    flat = [each.reshape(rows) if each.shape == logits.shape else each.flatten() for each in (logits, *others)]
    wanted = torch.is_grad_enabled() and logits.requires_grad
    values = _LossOfRows.apply(flat[0], flat[1:], kernel, counted, temperature, wanted)
    return values.view(logits.shape[:-1])


def check_temperature(temperature: float) -> None:
    """Refuses a temperature that logits cannot be divided by.

    Raises:
        ValueError: It is not a positive, finite number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"the temperature is {temperature}; logits are divided by it, so it must be a positive, finite number"
        )


class _LossOfRows(torch.autograd.Function):
    """Makes the gradient in forward: in backward both models' logits would have to be kept, and read again."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        others: list[Tensor],
        kernel: Kernel,
        counted: Tensor | None,
        temperature: float,
        wanted: bool,
    ) -> Tensor:
        new = torch.empty_like if counted is None else torch.zeros_like
        values = new(logits[:, 0], dtype=torch.promote_types(logits.dtype, torch.float32))
        gradient = new(logits) if wanted else None
        # Mixed precision would take the products of a kernel back to half.
        with torch.autocast(logits.device.type, enabled=False):
            for chunk in _chunks(logits, counted):
                rows = [_rows(each, chunk, temperature, values.dtype) for each in (logits, *others)]
                loss, gradient_of = kernel(*rows)
                _put(values, chunk, loss)
                if gradient is not None:
                    _put(gradient, chunk, _within(gradient_of(), gradient.dtype, temperature))
        ctx.gradient, ctx.temperature = gradient, temperature
        return values

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "this loss has no second derivative (create_graph=True), because it keeps only its gradient; write it "
                "with torch.log_softmax where one is needed"
            )
        if ctx.gradient is None:
            raise RuntimeError("backward a second time through this loss; give retain_graph=True the first time")
        factor = (factors[0] / ctx.temperature).unsqueeze(-1)
        # The graph is used once, unless someone retains it: then the gradient must stay as it is for the next time.
        if torch._C._autograd._get_current_graph_task_keep_graph():  # pyright: ignore[reportAttributeAccessIssue]
            return (ctx.gradient * factor).to(ctx.gradient.dtype), *5 * [None]
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(factor), *5 * [None]


def _counted(mask: Tensor) -> Tensor | None:
    rows = mask.nonzero()[:, 0]
    return None if len(rows) == len(mask) else rows  # slices are quicker than a selection


def _chunks(logits: Tensor, counted: Tensor | None) -> Iterator[slice | Tensor]:
    size = _CHUNK_ON_CPU if logits.device.type == "cpu" else _CHUNK
    rows = max(1, size // logits.shape[-1])
    if counted is not None:
        yield from counted.split(rows) if len(counted) else ()
        return
    for start in range(0, len(logits), rows):
        yield slice(start, start + rows)


def _rows(tensor: Tensor, chunk: slice | Tensor, temperature: float, dtype: torch.dtype) -> Tensor:
    rows = tensor[chunk] if isinstance(chunk, slice) else tensor.index_select(0, chunk)
    if tensor.dim() == 1:
        return rows
    rows = rows.to(dtype)
    return rows if temperature == 1 else rows / temperature


def _within(gradient: Tensor, dtype: torch.dtype, temperature: float) -> Tensor:
    """Float16 has no number for how steep a loss is towards what is ruled out; a division by T comes after."""
    if dtype != torch.float16:
        return gradient
    most = torch.finfo(dtype).max * min(temperature, 1.0)
    return gradient.clamp(-most, most)


def _put(tensor: Tensor, chunk: slice | Tensor, rows: Tensor) -> None:
    if isinstance(chunk, slice):
        tensor[chunk] = rows
    else:
        tensor.index_copy_(0, chunk, rows.to(tensor.dtype))
