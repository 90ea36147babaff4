"""A student whose weights are sharded over processes by FSDP2, on accelerators and on CPUs.

accelerate shards on accelerators only; on CPUs it trains the whole student in every process and does not say so. Here
it gets the same plugin on CPUs, with which it does there what it does on accelerators.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin, parse_flag_from_env
from torch import Tensor
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments

_FULL = "FULL_STATE_DICT"


def sharding_faults(args: TrainingArguments) -> list[str]:
    """The settings of FSDP that are not known to be right here, or that save no stock checkpoint; a line each.

    Args:
        args: The Trainer's arguments, whose `fsdp` counts if no launcher sets it.
    """
    if not _is_asked(args):
        return []
    given: dict[str, Any] = getattr(args, "fsdp_plugin_args", None) or {
        "fsdp_version": os.environ.get("FSDP_VERSION", "1"),
        "state_dict_type": os.environ.get("FSDP_STATE_DICT_TYPE", "SHARDED_STATE_DICT"),
    }
    faults = []
    if (version := int(given["fsdp_version"])) != 2:
        faults.append(
            f"FSDP of version {version} was asked for, which hides parameters from hooks; set version 2 "
            "(`fsdp_config={'version': 2}`, or `--fsdp_version 2` of accelerate launch)"
        )
    if given["state_dict_type"] != _FULL:
        faults.append(
            f"FSDP would save a {given['state_dict_type']}, of which no stock checkpoint can be made; set its "
            f"state_dict_type to {_FULL}"
        )
    return faults


def is_sharded(args: TrainingArguments, state: AcceleratorState) -> bool:
    """Whether the processes of a training shard the student.

    Those on a CPU are given accelerate's plugin for it here, if it is asked for.

    Args:
        args: The arguments of the training.
        state: accelerate's state of the processes.
    """
    if state.distributed_type != DistributedType.MULTI_CPU or not _is_asked(args):
        return getattr(state, "fsdp_plugin", None) is not None
    plugin = FullyShardedDataParallelPlugin(**(getattr(args, "fsdp_plugin_args", None) or {}))
    if args.bf16:
        plugin.set_mixed_precision("bf16")
    state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, plugin
    return True


def whole(weight: Tensor) -> Tensor:
    """A weight that may be sharded, as one tensor; every process must call it."""
    found: Any = weight.full_tensor() if isinstance(weight, DTensor) else weight
    # Their gathering may still go on, and until it ends they have no storage.
    return found.wait() if isinstance(found, AsyncCollectiveTensor) else found


def whole_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a state dict as plain tensors.

    All processes gather those of a sharded student; the first process then saves them.
    """
    return {name: whole(weight) if isinstance(weight, Tensor) else weight for name, weight in weights.items()}


def not_finite(model: torch.nn.Module) -> list[str]:
    """The names of weights of a model, sharded or not, that are not finite; every process must call it."""
    return [name for name, weight in model.named_parameters() if not _is_finite(whole(weight))]


def _is_finite(values: Tensor) -> bool:
    # torch does not say it of numbers of eight bits.
    return bool((values.float() if values.dtype.itemsize == 1 else values).isfinite().all())


def _is_asked(args: TrainingArguments) -> bool:
    return bool(args.fsdp) or parse_flag_from_env("ACCELERATE_USE_FSDP")
