"""The parameters that objectives train together with the student: optimised with it, but not in its checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn

from causalkd.objectives.base import Weighted

_FILE = "objectives.safetensors"


class ObjectiveParameters:
    """The parameters of the objectives that have some.

    They are not part of the gradient whose norm `max_grad_norm` limits, and weight decay applies to all of them.

    Args:
        objectives: All objectives of a training.
    """

    def __init__(self, objectives: Mapping[str, Weighted]) -> None:
        modules = {name: weighted.objective for name, weighted in objectives.items()}
        self.modules = nn.ModuleDict({name: each for name, each in modules.items() if isinstance(each, nn.Module)})
        self.parameters = list(self.modules.parameters())

    def average_gradients(self) -> None:
        """Averages the gradients over processes as each arrives; the wrapper of the student does not see these
        parameters.

        Averaging what has accumulated so far at every micro-batch gives the average of the sum.
        """
        for parameter in self.parameters:
            parameter.register_post_accumulate_grad_hook(_average)

    def forget_gradients(self) -> None:
        """Drops the gradients after a step has used them; the Trainer drops only those of its own model."""
        self.modules.zero_grad()

    def add_to(self, optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
        """Adds the parameters to an optimizer."""
        if self.parameters:
            optimizer.add_param_group({"params": self.parameters, "weight_decay": weight_decay})

    def check_in(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuses an optimizer that leaves some of the parameters out.

        Raises:
            ValueError: Parameters are left out; the message names their objectives.
        """
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        left_out = [
            name
            for name, each in self.modules.items()
            if any(parameter.requires_grad and id(parameter) not in trained for parameter in each.parameters())
        ]
        if left_out:
            raise ValueError(
                f"{', '.join(left_out)} learns parameters that the given optimizer does not train; add "
                "objective.parameters() to it, or give its class and settings (`optimizer_cls_and_kwargs`) instead"
            )

    def save(self, folder: Path) -> None:
        """Writes them next to a checkpoint, with the other state of their objectives."""
        if state := self.modules.state_dict():
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / _FILE)

    def load(self, folder: Path) -> None:
        """Reads them when training resumes."""
        if self.modules.state_dict():
            self.modules.load_state_dict(load_file(folder / _FILE))


def _average(parameter: Tensor) -> None:
    if distributed.is_available() and distributed.is_initialized() and parameter.grad is not None:
        distributed.all_reduce(parameter.grad)
        parameter.grad /= distributed.get_world_size()
