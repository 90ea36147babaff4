"""A name or a folder becomes a HookedModel: frozen teacher, trainable student, student cut from a teacher."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from causalkd.models.checkpoints import find_tokenizer, locate, read_config, tasks_of
from causalkd.models.hooked import HookedModel, Role
from causalkd.models.places import nearest
from causalkd.models.vocabularies import shared_entries
from causalkd.task_kinds import TASKS, Task

_AUTO: dict[Task, Any] = {
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "classification": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
}
_LABELLED = ("classification", "token_classification")


def load_model(
    name: str | Path,
    *,
    task: Task,
    role: Role,
    labels: Sequence[str] | None = None,
    new_head: bool = False,
    seed: int = 0,
    attention: str | None = None,
) -> HookedModel:
    """Loads a checkpoint from the hub, a folder or an installed weights package.

    Args:
        name: Hub name, folder, `minilm-l6` or `smollm2-135m`.
        task: Which head is wanted.
        role: `teacher` (frozen, eval, in the checkpoint's precision) or `student` (trainable, in float32 at least).
        labels: Label names, in the order of the head's outputs; None keeps the checkpoint's.
        new_head: Allow weights the checkpoint lacks to start at random (from `seed`), e.g. for fine-tuning.
        seed: Seed of such weights.
        attention: transformers' attention implementation; None lets transformers choose.

    Raises:
        ValueError: No such checkpoint, the checkpoint lacks the asked head, or its labels differ.
    """
    if task not in _AUTO:
        raise ValueError(f"task {task!r} does not exist; {nearest(task, list(TASKS))}")
    config = read_config(name)
    possible = tasks_of(name)
    if task not in possible:
        raise ValueError(
            f"{name} is a {config.model_type}, for which transformers has no {task} head, only {', '.join(possible)}; "
            "ask for one of those, or use another architecture"
        )
    _set_labels(config, task, labels, new_head=new_head, name=str(name))
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # Without this, weights of another size raise what nobody can read; here they count as weights that lack.
        options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        try:
            model, found = _AUTO[task].from_pretrained(locate(name), config=config, **options)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"checkpoint {name} has a configuration but no weights that load: {error}") from error
    lacking = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    if lacking and not new_head:
        raise ValueError(
            f"checkpoint {name} has no weights of the right size for {', '.join(lacking)}, which the {task} head "
            "needs. Fine-tune it on the task first, or pass new_head=True to start them at random."
        )
    tokenizer = find_tokenizer(name)
    _let_end_token_learn(model, tokenizer)
    loaded = HookedModel(model, tokenizer, task=task, role=role)
    if role == "student":
        move_to(loaded, model.device, _trainable(model.dtype))
    return loaded


def model_from_config(
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    task: Task,
    role: Role,
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> HookedModel:
    """A model with fresh weights drawn from `seed`; the global random state is left as it was.

    Raises:
        ValueError: No model can be built of this configuration.
    """
    config = copy.deepcopy(config)
    _set_labels(config, task, labels, new_head=True, name=config.model_type)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model = _AUTO[task].from_config(config)
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError) as error:
            raise ValueError(
                f"transformers cannot build a {config.model_type} of this configuration "
                f"({type(error).__name__}: {error}); correct its sizes and names"
            ) from error
    _let_end_token_learn(model, tokenizer)
    return HookedModel(model, tokenizer, task=task, role=role)


def student_from_teacher(
    teacher: HookedModel,
    *,
    layers: Sequence[int] | None = None,
    every: int | None = None,
    width: int | None = None,
    seed: int = 0,
) -> HookedModel:
    """A student of the teacher's architecture that starts from some of the teacher's blocks.

    Embeddings, head and everything else outside the blocks are copied where shapes allow; what does not fit (all of it,
    for a narrower width) starts fresh. Weights are in the teacher's precision, but in float32 at least.

    Args:
        teacher: Where the weights come from; it is not changed.
        layers: The teacher's block behind each block of the student.
        every: Instead of `layers`: blocks 0, every, 2·every, …
        width: Width of the student's blocks; heads keep their width. None keeps the teacher's.
        seed: Seed of weights that start fresh.

    Raises:
        ValueError: Not exactly one of `layers` and `every`, a layer the teacher lacks, a width no head fits.
    """
    chosen = _chosen_layers(teacher, layers, every)
    config = copy.deepcopy(teacher.model.config)
    config.num_hidden_layers = len(chosen)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        config.layer_types = [kinds[layer] for layer in chosen]
    if width is not None and width != teacher.width:
        _narrow(config, teacher, width)
    student = model_from_config(config, teacher.tokenizer, task=teacher.task, role="student", seed=seed)
    _copy_weights(teacher, student, chosen)
    move_to(student, teacher.model.device, _trainable(teacher.model.dtype))
    return student


def random_like(model: HookedModel, seed: int) -> HookedModel:
    """A model of the same configuration with fresh weights: the untrained control."""
    twin = model_from_config(model.model.config, model.tokenizer, task=model.task, role="student", seed=seed)
    twin.entries = model.entries
    move_to(twin, model.model.device, model.model.dtype)
    twin.model.eval()
    return twin


def move_to(model: HookedModel, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Moves a model's weights, and casts them where a dtype is given."""
    # Through the base class, whose `to` type checkers understand.
    torch.nn.Module.to(model.model, device=device, dtype=dtype)


def _trainable(dtype: torch.dtype) -> torch.dtype:
    # An optimizer's steps are smaller than half precision can add to a weight; autocast keeps what is fast about it.
    return torch.promote_types(dtype, torch.float32)


def check_pair(teacher: HookedModel, student: HookedModel) -> None:
    """Refuses a teacher and a student whose outputs cannot be compared.

    Vocabularies of one tokenizer may be padded to different sizes: see `share_entries`.

    Raises:
        ValueError: Task, vocabulary, tokenizer or labels differ; lists every difference.
    """
    faults = []
    if teacher.task != student.task:
        faults.append(f"the teacher's task is {teacher.task}, the student's {student.task}; load both for one task")
    entries = shared_entries(teacher, student)
    sizes = f"the teacher's vocabulary has {teacher.vocabulary} entries, the student's {student.vocabulary}"
    if entries is not None and min(teacher.vocabulary, student.vocabulary) < entries:
        faults.append(
            f"{sizes}, and the tokenizer of both {entries}, some of which a model lacks; give it more, by "
            f"resize_token_embeddings({entries}), or use a model that was trained with this tokenizer"
        )
    elif entries is None and teacher.vocabulary != student.vocabulary:
        faults.append(
            f"{sizes}: one token id means different words; use a student with the teacher's tokenizer, or cut it with "
            "student_from_teacher"
        )
    elif entries is None and teacher.tokenizer is not None and student.tokenizer is not None:
        faults.append("the tokenizers give different ids to the same tokens; use the teacher's tokenizer for both")
    if teacher.task in _LABELLED and label_names(teacher) != label_names(student):
        faults.append(
            f"the teacher's labels are {list(label_names(teacher))}, the student's {list(label_names(student))}; "
            "load both with the same labels in the same order"
        )
    if faults:
        raise ValueError("teacher and student do not fit:\n" + "\n".join(f"- {fault}" for fault in faults))


def label_names(model: HookedModel) -> tuple[str, ...]:
    """The names of the head's outputs, in their order; empty for heads without labels."""
    if model.task not in _LABELLED:
        return ()
    return _names(model.model.config)


def _names(config: PreTrainedConfig) -> tuple[str, ...]:
    names: dict[Any, str] = dict(config.id2label or {})
    return tuple(names[index] for index in range(len(names)))


def _let_end_token_learn(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """Where the end token stands for padding too, its embedding must get a gradient; the mask hides it as padding."""
    ends = model.config.to_dict().get("eos_token_id")
    known = [*(ends if isinstance(ends, list) else [ends]), None if tokenizer is None else tokenizer.eos_token_id]
    embedding = model.get_input_embeddings()
    if isinstance(embedding, torch.nn.Embedding) and embedding.padding_idx in known:
        embedding.padding_idx = None


def _set_labels(
    config: PreTrainedConfig, task: Task, labels: Sequence[str] | None, *, new_head: bool, name: str
) -> None:
    if task == "regression":
        config.num_labels, config.problem_type = 1, "regression"
    elif task == "question_answering":
        config.num_labels = 2
    elif task in _LABELLED and labels is not None:
        own = list(_names(config))
        unnamed = own == [f"LABEL_{index}" for index in range(len(own))]
        same = [name.casefold() for name in own] == [name.casefold() for name in labels]
        if not new_head and not same and not unnamed:
            raise ValueError(
                f"checkpoint {name} has the labels {own}, asked for were {list(labels)}; "
                "use a checkpoint of this task, or pass new_head=True to train a new head."
            )
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}


def _chosen_layers(teacher: HookedModel, layers: Sequence[int] | None, every: int | None) -> list[int]:
    if (layers is None) == (every is None):
        raise ValueError(f"give either layers or every, not both or neither; got layers={layers}, every={every}")
    if every is not None:
        if not 1 <= every <= teacher.n_layers:
            raise ValueError(f"every={every} leaves no block; the teacher has {teacher.n_layers} blocks")
        return list(range(0, teacher.n_layers, every))
    chosen = list(layers or ())
    wrong = [layer for layer in chosen if not 0 <= layer < teacher.n_layers]
    if wrong or not chosen:
        raise ValueError(f"layers={chosen}: the teacher has blocks 0–{teacher.n_layers - 1}; name at least one of them")
    return chosen


def _narrow(config: PreTrainedConfig, teacher: HookedModel, width: int) -> None:
    head_width = teacher.width // teacher.n_heads
    if width <= 0 or width % head_width:
        raise ValueError(f"width={width} does not divide into heads of {head_width}; give a multiple of {head_width}")
    ratio = width / teacher.width
    config.hidden_size, config.num_attention_heads = width, width // head_width
    for name in ("intermediate_size", "ffn_dim", "hidden_dim", "n_inner"):
        if getattr(config, name, None) is not None:
            setattr(config, name, round(getattr(config, name) * ratio))
    if getattr(config, "num_key_value_heads", None) is not None:
        heads, most = config.num_attention_heads, max(1, round(config.num_key_value_heads * ratio))
        config.num_key_value_heads = max(count for count in range(1, most + 1) if heads % count == 0)
    if getattr(config, "word_embed_proj_dim", None) is not None:
        config.word_embed_proj_dim = width


def _copy_weights(teacher: HookedModel, student: HookedModel, chosen: Sequence[int]) -> None:
    prefix = teacher.adapter.translate_transformer_lens_path("blocks") + "."
    given = teacher.model.state_dict()
    taken: dict[str, torch.Tensor] = {}
    for name, parameter in student.model.state_dict().items():
        origin = name
        if name.startswith(prefix):
            index, rest = name.removeprefix(prefix).split(".", 1)
            origin = f"{prefix}{chosen[int(index)]}.{rest}"
        if origin in given and given[origin].shape == parameter.shape:
            taken[name] = given[origin].detach().clone()
    student.model.load_state_dict(taken, strict=False)
