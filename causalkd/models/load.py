"""A name, a folder or a configuration becomes a HookedModel: frozen teacher or trainable student."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.quantization_config import QuantizationConfigMixin

from causalkd.errors import nearest
from causalkd.files.manifest import MANIFEST, changed_since
from causalkd.files.refusals import refused
from causalkd.models.aligned_weights import align
from causalkd.models.checkpoints import find_tokenizer, locate, read_config, tasks_of
from causalkd.models.head_labels import set_labels
from causalkd.models.heads import auto_class
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.models.hooks.model_inputs import complete_padding
from causalkd.models.loaded_weights import LoadedKeys, check_lacking, check_unused, read_weights
from causalkd.models.loading_options import DeviceMap, check_in_memory, is_spread, loading_options
from causalkd.models.plain_weights import plain_model
from causalkd.models.self_test import self_test
from causalkd.models.vocabularies import check_tokens
from causalkd.task_types import TASK_TYPES, Task


def load_model(
    name: str | Path,
    *,
    task: Task,
    role: Role,
    labels: Sequence[str] | None = None,
    new_head: bool = False,
    seed: int = 0,
    attention: str | None = None,
    dtype: torch.dtype | None = None,
    device_map: DeviceMap | None = None,
    quantization: QuantizationConfigMixin | None = None,
    revision: str | None = None,
) -> HookedModel:
    """Load a checkpoint from the hub, a folder or an installed weights package.

    Args:
        name: Hub name, folder, `minilm-l6` or `smollm2-135m`.
        task: The task of the prediction head.
        role: `teacher` (frozen, eval, in the checkpoint's precision) or `student` (trainable, in float32 at least).
        labels: Label names, in the order of the head's outputs; None keeps the checkpoint's.
        new_head: Whether the head's weights may be missing, as for fine-tuning; they then start at random, from `seed`.
        seed: Seed of such weights.
        attention: transformers' attention implementation; None lets transformers choose.
        dtype: Precision of the weights; None keeps the checkpoint's. A student's is float32 at least.
        device_map: The devices of the modules, as in transformers; a model that is spread over devices stays spread.
        quantization: Quantisation of a teacher, as in transformers. A student of a quantised checkpoint is dequantised.
        revision: Branch, tag or commit of the hub.

    Raises:
        ValueError: There is no such checkpoint, it lacks the head or weights of its body, it has blocks that its
            configuration lacks, its tokenizer has tokens that it lacks, a run wrote it and it was changed since, its
            labels differ, a student was to be quantised, or `device_map` leaves weights out of memory.
    """
    _check_role(name, role, quantization)
    _check_as_written(Path(name))
    config = _config_with_head(name, task, revision)
    set_labels(config, task, labels, new_head=new_head, name=str(name))
    if role == "student" and not config.to_dict().get("quantization_config"):
        # From the start: what a model computes for itself and does not save would stay rounded.
        dtype = trainable(dtype or config.dtype or torch.float32)
    placed = {"device_map": device_map, "quantization": quantization, "revision": revision}
    options = loading_options(attention=attention, dtype=dtype, **placed)
    model, keys = _stock_model(name, task, config, options, new_head=new_head, seed=seed)
    if role == "student":
        model = plain_model(model)
    tokenizer = find_tokenizer(name, revision)
    if tokenizer is not None:
        check_tokens(model, tokenizer, str(name), task)
        if isinstance(tokenizer.pad_token_id, int):
            complete_padding(model, tokenizer.pad_token_id)
    _let_end_token_learn(model, tokenizer)
    loaded = HookedModel(model, tokenizer, task=task, role=role)
    check_unused(loaded, keys, str(name), new_head=new_head)
    self_test(loaded)
    if role == "student":
        move_to(loaded, model.device, trainable(model.dtype))
    return loaded


def _check_role(name: str | Path, role: Role, quantization: QuantizationConfigMixin | None) -> None:
    if role == "student" and quantization is not None:
        raise ValueError(
            f"{name} is to be a student and quantised, but no step of an optimizer moves integer codes; "
            "leave quantization out, or load it as a teacher"
        )


def _check_as_written(name: Path) -> None:
    """Refuses a checkpoint of a run that was changed since the run wrote it; costs one reading of its files."""
    changed = changed_since(name) if name.is_dir() else None
    if changed is not None:
        raise ValueError(
            f"the checkpoint {name} is not as the run wrote it: {changed}; restore it from a copy, or delete its "
            f"{MANIFEST} if it was changed on purpose"
        )


def _config_with_head(name: str | Path, task: Task, revision: str | None) -> PreTrainedConfig:
    if task not in TASK_TYPES:
        raise ValueError(f"task {task!r} does not exist; {nearest(task, list(TASK_TYPES))}")
    config = read_config(name, revision)
    possible = tasks_of(name, revision)
    if task not in possible:
        raise ValueError(
            f"{name} is a {config.model_type}, for which transformers has no {task} head, only {', '.join(possible)}; "
            "ask for one of those, or use another architecture"
        )
    # A checkpoint may ask for attention weights as outputs; transformers refuses to save this setting together with the
    # attention implementation that it chooses.
    config.output_attentions = False
    return config


def _stock_model(
    name: str | Path, task: Task, config: PreTrainedConfig, options: dict[str, Any], *, new_head: bool, seed: int
) -> tuple[PreTrainedModel, LoadedKeys]:
    """The model, and by which weights it differs from its checkpoint."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        what, unread = f"no {config.model_type} can be made of checkpoint {name}", (OSError, SafetensorError)
        try:
            with refused(what, "correct its config.json", passing=unread):
                model, keys = read_weights(locate(name), task, config, options)
        except unread as error:
            raise ValueError(f"checkpoint {name} has a configuration but no weights that load: {error}") from error
    check_lacking(model, keys, str(name), task, new_head=new_head)
    check_in_memory(model, str(name))
    align(model)
    _say_untied(model)
    return model, keys


def _say_untied(model: PreTrainedModel) -> None:
    """Corrects a configuration by which the head shares the embeddings, if the checkpoint has a head of its own.

    A model that is made from the configuration later, such as a student, would otherwise share the embeddings.
    """
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    if words is None or head is None or not getattr(model, "_tied_weights_keys", None):
        return
    if getattr(head, "weight", None) is getattr(words, "weight", None):
        return
    for config in (model.config, model.config.get_text_config()):  # one object, but for models that read images too
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False


def model_from_config(
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    task: Task,
    role: Role,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> HookedModel:
    """Build a model with fresh weights drawn from `seed`; the global random state is unchanged.

    They are in `dtype`; None takes the configuration's, and for a student float32 at least.

    Raises:
        ValueError: No model can be built of this configuration.
    """
    made = fresh_model(config, tokenizer, task=task, role=role, labels=labels, seed=seed, dtype=dtype)
    self_test(made)
    return made


def fresh_model(
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    task: Task,
    role: Role,
    labels: Sequence[str] | None,
    seed: int,
    dtype: torch.dtype | None = None,
) -> HookedModel:
    """The same as `model_from_config` without its self-test, for a configuration that has passed it."""
    config = copy.deepcopy(config)
    set_labels(config, task, labels, new_head=True, name=config.model_type)
    if dtype is None:
        own: Any = config.dtype
        dtype = own if role == "teacher" else trainable(own or torch.get_default_dtype())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        what = f"transformers cannot build a {config.model_type} of this configuration"
        with refused(what, "correct its sizes and names"):
            model = auto_class(config, task).from_config(config, dtype=dtype, trust_remote_code=False)
    _let_end_token_learn(model, tokenizer)
    return HookedModel(model, tokenizer, task=task, role=role)


def move_to(model: HookedModel, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Moves a model's weights, and casts them if a dtype is given; a model spread over devices is not moved."""
    if any(weight.is_meta for weight in model.model.parameters()):
        return  # an absent teacher has nothing to be moved
    if is_spread(model.model):
        if dtype is not None:
            torch.nn.Module.to(model.model, dtype=dtype)
        return
    # Through the base class, whose `to` type checkers understand.
    torch.nn.Module.to(model.model, device=device, dtype=dtype)


def trainable(dtype: torch.dtype | str) -> torch.dtype:
    """The precision in which a student of this one, or of the one of this name, learns: float32 at least.

    An optimizer's steps are smaller than half precision can add to a weight; autocast keeps what is fast about it.
    """
    return torch.promote_types(getattr(torch, dtype) if isinstance(dtype, str) else dtype, torch.float32)


def _let_end_token_learn(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """Lets the end token's embedding get a gradient if it is also the padding token; the mask hides padding anyway."""
    ends = model.config.to_dict().get("eos_token_id")
    known = [*(ends if isinstance(ends, list) else [ends]), None if tokenizer is None else tokenizer.eos_token_id]
    embedding = model.get_input_embeddings()
    if isinstance(embedding, torch.nn.Embedding) and embedding.padding_idx in known:
        embedding.padding_idx = None
