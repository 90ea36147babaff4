"""Low-rank adapters (LoRA): a student's own weights stay fixed, and small factors added to them are trained.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models". The adapters are those of peft, put into the stock
model in place, so that its class, its hook points and every objective stay what they are.
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from causalkd.errors import few
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.plain_weights import has_adapters
from causalkd.task_types import LANGUAGE_MODELS


def add_lora(
    student: HookedModel,
    *,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.0,
    targets: str | Sequence[str] | None = None,
    seed: int = 0,
) -> None:
    """Freezes a student and adds trainable adapters, which change nothing yet, to linear layers of its blocks.

    A head other than a language-model head stays trainable.

    Args:
        student: The student; changed in place.
        rank: Rank of the adapters.
        alpha: The adapters' output is scaled by alpha / rank.
        dropout: Dropout on the input of an adapter.
        targets: Names of linear layers as they end in the stock model, such as `q_proj`; None takes all in its blocks.
        seed: Seed of the factors that are initialised at random.

    Raises:
        ValueError: peft is not installed, a target is not a linear layer of the blocks, alpha is not positive, or the
            model is not a student without adapters.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError("LoRA needs peft, which is not installed; install causalkd with its extra `lora`") from error
    if student.role != "student" or has_adapters(student.model):
        raise ValueError(
            f"{student!r} is {'a teacher' if student.role == 'teacher' else 'adapted already'}; "
            "LoRA is for a student without adapters"
        )
    if alpha <= 0:
        raise ValueError(f"alpha={alpha}, by which the adapters' output is scaled, is not positive; give 1 or more")
    chosen = _targets(student, [targets] if isinstance(targets, str) else targets)
    turned = isinstance(student.model.get_submodule(chosen[0]), Conv1D)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=chosen,
        fan_in_fan_out=turned,  # type: ignore[arg-type]
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, student.model)
    # Attribution maps need the gradient at the embedding output, before which nothing is trained now.
    student.model.enable_input_require_grads()
    if student.task not in LANGUAGE_MODELS:
        body = f"{student.model.base_model_prefix}."
        for name, weight in student.model.named_parameters():
            weight.requires_grad_(weight.requires_grad or not name.startswith(body))


def _targets(student: HookedModel, targets: Sequence[str] | None) -> list[str]:
    inside = {id(module) for module in student.blocks.modules() if isinstance(module, nn.Linear | Conv1D)}
    names = [name for name, module in student.model.named_modules() if id(module) in inside]
    if targets is None:
        return names
    wrong = [target for target in targets if not any(_ends(name, target) for name in names)]
    if wrong or not targets:
        known = sorted({name.rpartition(".")[2] for name in names})
        raise ValueError(
            f"targets {list(targets)}: {', '.join(wrong) or 'none'} is not a linear layer in the blocks of "
            f"{student.architecture}; it has {few(known)}"
        )
    return [name for name in names if any(_ends(name, target) for target in targets)]


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
