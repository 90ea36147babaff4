"""Losses of logits, a few rows at a time; a loss keeps nothing but the gradient for its backward pass.

The logits over a vocabulary are the largest tensor of a training step. A loss written with `log_softmax` makes five
such tensors and reads each from memory several times; here a chunk of rows goes through all the arithmetic while it is
in the processor's cache, and its gradient is written once.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Gradient = Callable[[], Float[Tensor, "row choice"]]
Kernel = Callable[..., tuple[Float[Tensor, " row"], Gradient]]
"""(student's logits, further arguments of the rows) → the loss of each row, and a function that returns its gradient in
those logits.

It may not write into its arguments, and no row may depend on another.
"""

# Logits in a chunk: three tensors of this size stay in a processor's cache; an accelerator needs more to be busy.
_CHUNK_ON_CPU, _CHUNK = 2**19, 2**24


def check_backward(kept: object) -> None:
    """Refuses a backward pass that a loss that keeps only its gradient cannot do.

    Raises:
        NotImplementedError: A second derivative is needed.
        RuntimeError: The gradient has been used already.
    """
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "this loss has no second derivative (create_graph=True), because it keeps only its gradient; if you need "
            "one, write the loss with torch.log_softmax"
        )
    if kept is None:
        raise RuntimeError("backward a second time through this loss; give retain_graph=True the first time")


def loss_of_rows(
    kernel: Kernel,
    logits: Float[Tensor, "*batch choice"],
    others: tuple[Tensor, ...] = (),
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    """The loss of each row, 0 where the mask is false: such rows are ignored, and may hold anything.

    Half precision is computed, and returned, in float32, under autocast too; float64 stays. The gradient is made
    together with the loss and takes one tensor the size of the logits. Makes no host–device copy.

    Args:
        kernel: The loss to compute.
        logits: The student's logits; the only argument that receives a gradient, once (no second derivative).
        others: The kernel's further arguments; a tensor with the shape of `logits` holds a model's logits too.
        mask: The rows that count.
        temperature: Divides all logits.

    Raises:
        ValueError: A gradient is needed for another argument than the student's logits, the arguments have different
            rows or choices, or the temperature is not a positive number.
    """
    check_temperature(temperature)
    check_no_gradient(others)
    check_rows(logits.shape, [other.shape for other in others])
    counted = None if mask is None else mask.flatten()
    rows = (-1, logits.shape[-1])
    flat = [each.reshape(rows) if each.shape == logits.shape else each.flatten() for each in (logits, *others)]
    wanted = torch.is_grad_enabled() and logits.requires_grad
    values = _LossOfRows.apply(flat[0], flat[1:], kernel, counted, temperature, wanted)
    return values.view(logits.shape[:-1])


def check_temperature(temperature: float) -> None:
    """Refuses a temperature by which logits cannot be divided.

    Raises:
        ValueError: It is not a positive, finite number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"the temperature is {temperature}; logits are divided by it, so it must be a positive, finite number"
        )


def check_no_gradient(teachers: Iterable[Tensor]) -> None:
    """Refuses a teacher that requires a gradient: only the student gets one.

    Raises:
        ValueError: One of them requires a gradient.
    """
    if torch.is_grad_enabled() and any(teacher.requires_grad for teacher in teachers):
        raise ValueError(
            "the teacher's logits require a gradient, and only the student's get one; run the teacher under "
            "torch.no_grad()"
        )


def check_rows(student: torch.Size, others: Iterable[torch.Size]) -> None:
    """Refuses arguments with other rows than the student's logits, and a teacher's logits of another vocabulary.

    Raises:
        ValueError: Names both shapes.
    """
    for other in others:
        if other not in (student, student[:-1]):
            raise ValueError(
                f"the student's logits are of shape {tuple(student)}, and what they are compared with is of shape "
                f"{tuple(other)}; both must be of the same rows, and a teacher's logits of the same vocabulary"
            )


class _LossOfRows(torch.autograd.Function):
    """Computes the gradient in forward: for backward both models' logits would have to be kept, and read again."""

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
        values = torch.empty_like(logits[:, 0], dtype=torch.promote_types(logits.dtype, torch.float32))
        gradient = torch.empty_like(logits) if wanted else None
        # Mixed precision would compute the products of a kernel in half precision.
        with torch.autocast(logits.device.type, enabled=False):
            for chunk in chunks(logits.shape, logits.device.type):
                rows = [_rows(each, chunk, temperature, values.dtype) for each in (logits, *others)]
                loss, gradient_of = kernel(*rows)
                values[chunk] = zero_uncounted(counted, chunk, loss)
                if gradient is not None:
                    gradient[chunk] = clamped_to_dtype(
                        zero_uncounted(counted, chunk, gradient_of()), gradient.dtype, temperature
                    )
        ctx.gradient, ctx.temperature = gradient, temperature
        return values

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> tuple[Tensor | None, ...]:
        check_backward(ctx.gradient)
        factor = (factors[0] / ctx.temperature).unsqueeze(-1)
        # The graph is used once, unless the caller retains it: then the gradient must stay unchanged for the next time.
        if torch._C._autograd._get_current_graph_task_keep_graph():  # pyright: ignore[reportAttributeAccessIssue]
            return (ctx.gradient * factor).to(ctx.gradient.dtype), *5 * [None]
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(factor), *5 * [None]


def chunks(shape: torch.Size, device: str) -> Iterator[slice]:
    """Slices of rows, each as large as the arithmetic of a loss is fast with."""
    rows = max(1, (_CHUNK_ON_CPU if device == "cpu" else _CHUNK) // max(shape[-1], 1))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def zero_uncounted(counted: Tensor | None, chunk: slice, rows: Tensor) -> Tensor:
    """The rows with zeros instead of those that do not count, whatever they hold; written in place."""
    if counted is None:
        return rows
    return rows.masked_fill_(~counted[chunk].view(-1, *[1] * (rows.dim() - 1)), 0)


def scaled(logits: Tensor, temperature: float, dtype: torch.dtype) -> Tensor:
    """Logits in this dtype, divided by the temperature."""
    logits = logits.to(dtype)
    return logits if temperature == 1 else logits / temperature


def _rows(tensor: Tensor, chunk: slice, temperature: float, dtype: torch.dtype) -> Tensor:
    rows = tensor[chunk]
    return rows if tensor.dim() == 1 else scaled(rows, temperature, dtype)


def clamped_to_dtype(gradient: Tensor, dtype: torch.dtype, temperature: float) -> Tensor:
    """Clamps a gradient to what float16 can hold after the division by T; other dtypes are returned unchanged."""
    if dtype != torch.float16:
        return gradient
    most = torch.finfo(dtype).max * min(temperature, 1.0)
    return gradient.clamp(-most, most)
