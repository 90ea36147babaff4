"""Whether a checkpoint gave a model all of its weights, and the model took all of the checkpoint's.

transformers lets weights that a file lacks start at random, leaves out those that a model has no parameter for, and
only logs both. A new head may start at random; embeddings and blocks of a pretrained model may not.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from causalkd.errors import few
from causalkd.models.architectures import refusal_of
from causalkd.models.head_labels import NEW_HEAD
from causalkd.models.heads import auto_class, head_classes
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import TASK_TYPES, Task

# Parts of a body that only some heads read, so that a checkpoint of another head lacks them.
_OF_HEADS = re.compile(r"(^|\.)pooler\.")
# Tensors that older versions of transformers saved among the weights: masks and tables that the configuration implies.
_TABLES = re.compile(
    r"((attn|attention)\.bias|masked_bias|causal_mask|inv_freq|(position|token_type)_ids|embed_positions(\.weights?)?|"
    r"embed_scale)$"
)


class LoadedKeys(NamedTuple):
    """The names of weights by which a checkpoint and a model differ.

    Attributes:
        lacking: The model's weights that the checkpoint lacks, or has in another size.
        unused: The checkpoint's weights that the model has no parameter for.
    """

    lacking: tuple[str, ...]
    unused: tuple[str, ...]


def read_weights(
    location: str, task: Task, config: PreTrainedConfig, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, LoadedKeys]:
    """Loads a stock model, whatever weights its checkpoint lacks or has in addition.

    Some heads keep their body under another name than the language model does, such as LlamaForQuestionAnswering; the
    body of a checkpoint of another head is then loaded separately.

    Args:
        location: A folder or a hub name.
        task: The task of the head.
        config: The model's configuration.
        options: Further arguments of transformers' `from_pretrained`.

    Returns:
        The model, and by which weights it differs from the checkpoint.
    """
    # Without the last option, weights of another size raise an unreadable error; here they count as missing weights.
    settings = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    settings |= {**options, "config": config}
    model, found = auto_class(config, task).from_pretrained(location, trust_remote_code=False, **settings)
    keys = _keys(found)
    if _has_body_of_another_head(model, keys) and not {"device_map", "quantization_config"} & set(options):
        body, of_body = AutoModel.from_pretrained(location, trust_remote_code=False, **settings)
        own = f"{model.base_model_prefix}."
        setattr(model, model.base_model_prefix, body)
        model.config = body.config  # one object, so that a change of it reaches every part
        in_body = _keys(of_body)
        head = (key for key in keys.lacking if not key.startswith(own))
        keys = LoadedKeys((*(own + key for key in in_body.lacking), *head), in_body.unused)
    return model, keys


def _keys(found: Mapping[str, Any]) -> LoadedKeys:
    """The differences that transformers' loading information lists."""
    other_size = {name for name, *_ in found["mismatched_keys"]}
    return LoadedKeys(
        tuple(sorted({*found["missing_keys"], *other_size})), tuple(sorted(map(str, found["unexpected_keys"])))
    )


def _has_body_of_another_head(model: PreTrainedModel, keys: LoadedKeys) -> bool:
    heads = [head for task in TASK_TYPES for head in head_classes(type(model.config), task)]
    others = {head.base_model_prefix for head in heads} - {model.base_model_prefix, ""}
    return isinstance(model.base_model, PreTrainedModel) and any(
        key.startswith(f"{other}.") for key in keys.unused for other in others
    )


def check_lacking(model: PreTrainedModel, keys: LoadedKeys, name: str, task: Task, *, new_head: bool) -> None:
    """Refuses a model with weights at random, but for a head that is to be new.

    Args:
        model: The model as it was loaded.
        keys: By which weights it differs from its checkpoint.
        name: The checkpoint's name in messages.
        task: The task of the head.
        new_head: Whether the head's weights may be missing.

    Raises:
        ValueError: Other weights are missing; says which. Or the head needs a second stack of blocks.
    """
    refusal = refusal_of(model.config, model)
    if refusal is not None:
        saved = ", ".join(model.config.architectures or ()) or "model of one stack"
        raise ValueError(
            f"checkpoint {name} holds a {saved}, and its {task} head would be {type(model).__name__}, which {refusal}, "
            "or a task whose head reads the stack that the checkpoint has"
        )
    body = f"{model.base_model_prefix}."
    of_body = [key for key in keys.lacking if key.startswith(body) and not _OF_HEADS.search(key)]
    if of_body:
        instead = f", but it has {few(keys.unused)}" if keys.unused else ""
        raise ValueError(
            f"checkpoint {name} has no weights of the right size for {few(of_body)}{instead}. They would start at "
            "random, which defeats the use of a pretrained model: correct its config.json, or save its weights under "
            "the names of the stock model"
        )
    if keys.lacking and not new_head:
        raise ValueError(
            f"checkpoint {name} has no weights of the right size for {few(keys.lacking)}, which the {task} head "
            f"needs. Fine-tune it on the task first: a head is begun at random {NEW_HEAD}"
        )


def check_unused(model: HookedModel, keys: LoadedKeys, name: str, *, new_head: bool) -> None:
    """Refuses a model whose blocks, or whose layers outside them, are not all that the checkpoint has of them.

    Weights of other heads and of other stacks are left out silently.

    Args:
        model: The model as it was loaded.
        keys: By which weights it differs from its checkpoint.
        name: The checkpoint's name in messages.
        new_head: Whether the head is to be new, so that weights of the checkpoint's own may be left out.

    Raises:
        ValueError: The checkpoint has further blocks, or further weights of a block or layer; says which.
    """
    # A body that was saved alone has names without its prefix.
    prefix = f"{model.model.base_model_prefix}."
    blocks = model.adapter.translate_transformer_lens_path("blocks")
    starts = (f"{blocks}.", f"{blocks.removeprefix(prefix)}.")
    layers = {name for name, module in model.model.named_modules() if _has_weights_alone(module)}
    layers = {name for name in layers if name.startswith(prefix) or not new_head}
    layers |= {name.removeprefix(prefix) for name in layers}
    if model.model.config.to_dict().get("quantization_config"):
        return  # its codes come with scales, which transformers reads in its own ways
    theirs = [key for key in keys.unused if key.startswith(starts) or key.rpartition(".")[0] in layers]
    unused = [key for key in theirs if not _TABLES.search(key)]
    if unused:
        raise ValueError(
            f"checkpoint {name} has the weights {few(unused)}, for which a {model.architecture} of its configuration, "
            f"of {model.n_layers} layers, has no place, so it would compute something else than the model that was "
            "saved; correct its config.json, or save the model with the blocks that it is to have"
        )


def _has_weights_alone(module: nn.Module) -> bool:
    """Whether a module is one layer, such as a head, a norm or an embedding."""
    return next(module.children(), None) is None and next(module.parameters(recurse=False), None) is not None
