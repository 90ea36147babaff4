"""Parameters that no objective reaches, in processes that average gradients.

DistributedDataParallel waits for a gradient of every parameter that a forward's outputs depend on. Objectives may use
fewer: with hidden states alone, none reaches a classifier's head, and the next step fails. So the outputs are given a
gradient of zero, and before the optimizer steps, parameters that nothing else reaches lose theirs, as in one
process, where they have none: no weight decay moves them.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class Unreached:
    """The parameters that one optimizer step's losses do not depend on; empty in one process."""

    def __init__(self) -> None:
        self._behind_outputs: dict[int, Tensor] = {}
        self._behind_losses: set[int] = set()

    def reach_all(self, model: nn.Module, loss: Tensor, outputs: Tensor) -> Tensor:
        """The loss plus a zero that depends on the outputs, for a model trained in several processes."""
        if not (isinstance(model, DistributedDataParallel) and torch.is_grad_enabled() and outputs.requires_grad):
            return loss
        self._behind_outputs |= _parameters_behind(outputs)
        self._behind_losses |= _parameters_behind(loss).keys()
        # Not 0 · outputs, which is not a number where an output is infinite.
        return loss + outputs.masked_fill(torch.ones_like(outputs, dtype=torch.bool), 0).sum().to(loss.dtype)

    def forget_gradients(self) -> None:
        """Removes the gradients of zero, once per step."""
        for number, parameter in self._behind_outputs.items():
            if number not in self._behind_losses:
                parameter.grad = None
        self._behind_outputs, self._behind_losses = {}, set()


def _parameters_behind(tensor: Tensor) -> dict[int, Tensor]:
    """The leaves of a tensor's graph, by their identity."""
    found: dict[int, Tensor] = {}
    nodes: list[torch.autograd.graph.Node] = [] if tensor.grad_fn is None else [tensor.grad_fn]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        leaf = getattr(node, "variable", None)  # the nodes that put a gradient into a leaf
        if leaf is not None:
            found[id(leaf)] = leaf
        above = _new(node, seen)
        seen.update(above)
        nodes += above
    return found


def _new(node: torch.autograd.graph.Node, seen: Iterable[object]) -> list[torch.autograd.graph.Node]:
    return list(dict.fromkeys(above for above, _ in node.next_functions if above is not None and above not in seen))
