"""Models whose weights are not plain floating-point numbers: quantised, or with peft adapters around their layers.

Such a model computes as any other, but its tensors are not what a stock model of its class keeps under those names:
integer codes, packed nibbles, a base layer without its adapter. Nothing may be copied or saved from it unconverted.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_BASE = "base_layer"
_ROWS = 8
_LIMIT = 0.1
"""Relative to the size of a layer's output: some quantised layers round their input to eight bits too."""


def has_adapters(model: nn.Module) -> bool:
    """Whether a layer of the model has a peft adapter around it."""
    return any(_BASE in module._modules for module in model.modules())


def plain_model(model: PreTrainedModel) -> PreTrainedModel:
    """The model itself if its weights are plain; otherwise a copy, dequantised and with adapters merged.

    Raises:
        ValueError: The weights cannot be converted to plain numbers; the message says why and what to do.
    """
    given, quantised, adapted = model, _is_quantised(model), has_adapters(model)
    if quantised and adapted:
        raise ValueError(
            f"this {type(model).__name__} is quantised and has adapters, which cannot be merged without rounding them "
            "to the quantised grid; load its base without quantisation and merge the adapters first"
        )
    if quantised:
        model = _dequantised(model)
    elif adapted:
        model = _merged(model)
    _refuse_other_numbers(model)
    if quantised:
        _check_layers(given, model)
    return model


def stored_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights by name as a checkpoint holds them; asking for them changes nothing in a quantised model, whose
    layers may keep their codes otherwise (see `_put_back_codes`) and of which this holds a copy.
    """
    if not _is_quantised(model):
        return model.state_dict()
    copied = copy.deepcopy(model)
    _put_back_codes(copied)
    return copied.state_dict()


def _is_quantised(model: PreTrainedModel) -> bool:
    return "hf_quantizer" in vars(model) and bool(model.is_quantized)


def _dequantised(model: PreTrainedModel) -> PreTrainedModel:
    copied = copy.deepcopy(model)
    _put_back_codes(copied)
    try:
        # A dispatched model refuses to be cast, which dequantising does not.
        return copied.dequantize()
    except (NotImplementedError, ValueError, RuntimeError, TypeError, ImportError) as error:
        raise ValueError(
            f"this {type(model).__name__} is quantised and transformers cannot dequantise it ({error}); "
            "load the checkpoint without quantisation"
        ) from error


def _put_back_codes(model: PreTrainedModel) -> None:
    """Undoes what bitsandbytes does to 4-bit layers at their first forward on a processor: it repacks their codes and
    turns their scales, and dequantises both as if it had not.
    """
    model.state_dict()  # on this call a layer puts its codes back, though not all scales
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        if state is not None and state.absmax.dim() == 2:
            state.absmax = state.absmax.T.reshape(-1)


def _check_layers(quantised: PreTrainedModel, plain: PreTrainedModel) -> None:
    """Refuses a dequantised model with a layer that does not compute what the quantised one does.

    Costs one forward of each such layer on a few random rows.
    """
    random, apart = torch.Generator().manual_seed(0), dict[str, float]()
    with torch.no_grad():
        for name, layer in quantised.named_modules():
            own = plain.get_submodule(name)
            if type(own) is nn.Linear and type(layer) is not nn.Linear:
                rows = torch.randn(_ROWS, own.in_features, generator=random).to(own.weight)
                expected, found = layer(rows).double(), own(rows).double()
                apart[name] = float((found - expected).norm() / expected.norm().clamp_min(1e-12))
    wrong = {name: share for name, share in apart.items() if not share <= _LIMIT}
    if wrong:
        worst = max(wrong, key=lambda name: wrong[name])
        raise ValueError(
            f"{len(wrong)} of {len(apart)} layers of this {type(quantised).__name__} compute something else when "
            f"transformers dequantises them: {worst} departs by {wrong[worst]:.2g} of its size. Load the checkpoint "
            "without quantisation, or use another version of the library that quantises it"
        )


def _merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose adapters are added to the weights of their base layers."""
    words = (model.get_input_embeddings(), model.get_output_embeddings())
    tied = model.config.get_text_config().tie_word_embeddings
    if tied and any(module is not None and has_adapters(module) for module in words):
        raise ValueError(
            f"this {type(model).__name__} has an adapter on its word embeddings, which its head shares: merged, the "
            "head would change too; leave the embeddings out of the adapter"
        )
    untrained_student: Any = copy.deepcopy(model)
    for name, module in list(untrained_student.named_modules()):
        if _BASE in module._modules:
            _replace(untrained_student, name, _merged_layer(module, name))
        elif "original_module" in module._modules:  # a layer that was trained whole in addition to the adapters
            raise ValueError(
                f"{name} of this {type(model).__name__} is a trained copy beside the adapters; merge and unload them "
                "with peft, and give the model that results"
            )
    untrained_student.__dict__.pop("peft_config", None)
    untrained_student._hf_peft_config_loaded = False
    return untrained_student


def _merged_layer(module: Any, name: str) -> nn.Module:
    if module.disable_adapters:  # as its forward pass does
        return module.get_base_layer()
    try:
        module.merge(safe_merge=True)
    except (ValueError, NotImplementedError, AttributeError, TypeError) as error:
        raise ValueError(f"the adapter on {name} cannot be merged: {error}") from error
    return module.get_base_layer()


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _refuse_other_numbers(model: PreTrainedModel) -> None:
    wrong: dict[str, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            wrong[name] = "is offloaded"
        elif not parameter.is_floating_point() or parameter.dtype.itemsize < torch.float16.itemsize:
            wrong[name] = f"holds {parameter.dtype} codes"
    if wrong:
        first = next(iter(wrong))
        raise ValueError(
            f"{len(wrong)} weights of this {type(model).__name__} are not plain numbers in memory ({first} "
            f"{wrong[first]}); load the checkpoint whole and without quantisation"
        )
