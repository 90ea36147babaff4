"""The location of a checkpoint and its own description, read before any weight."""

from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from causalkd.models.packaged_weights import PACKAGED, packaged_folder
from causalkd.task_types import TASKS, Task

# The class of each head by the class of the configuration.
_HEADS: dict[Task, Any] = {
    "masked_lm": MODEL_FOR_MASKED_LM_MAPPING,
    "causal_lm": MODEL_FOR_CAUSAL_LM_MAPPING,
    "classification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "multi_label": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "regression": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "token_classification": MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    "question_answering": MODEL_FOR_QUESTION_ANSWERING_MAPPING,
}


def locate(name: str | Path) -> str:
    """The folder or hub name behind a name.

    Raises:
        ValueError: The package that carries the weights is not installed.
    """
    return packaged_folder(str(name)) if str(name) in PACKAGED else str(name)


def read_config(name: str | Path, revision: str | None = None) -> PreTrainedConfig:
    """A checkpoint's configuration; `revision` is a branch, tag or commit of the hub, None for its main branch.

    Raises:
        ValueError: No such checkpoint.
    """
    location = locate(name)
    try:
        return AutoConfig.from_pretrained(location, revision=revision or "main", trust_remote_code=False)
    except (OSError, ValueError) as error:
        if (Path(location) / "config.json").is_file():
            raise ValueError(f"the configuration of checkpoint {name} cannot be read: {error}") from error
        known = ", ".join(PACKAGED)
        raise ValueError(
            f"no checkpoint {str(name)!r}: it is no folder with a config.json, and the hub did not give it. "
            f"Name a folder, a hub model, or one of {known}."
        ) from error


def find_tokenizer(name: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a checkpoint; None where there is none, for which transformers often makes one without words.

    Some kinds of tokenizers raise other errors than a missing file where there is none, or where a library they need
    is missing.

    Raises:
        ValueError: No such checkpoint.
    """
    read_config(name, revision)
    try:
        found = AutoTokenizer.from_pretrained(locate(name), revision=revision or "main", trust_remote_code=False)
    except (ImportError, OSError, TypeError, ValueError):
        return None
    return found if len(found) > len(found.all_special_tokens) else None


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        ValueError: No such checkpoint, or no tokenizer in it.
    """
    found = find_tokenizer(name)
    if found is None:
        raise ValueError(
            f"checkpoint {name} has no tokenizer that transformers can load; save the one it was trained with beside it"
        )
    return found


def has_head(name: str | Path, task: Task, revision: str | None = None) -> bool:
    """Whether a checkpoint was saved with the head of a task.

    Raises:
        ValueError: No such checkpoint.
    """
    config = read_config(name, revision)
    head = _HEADS[task].get(type(config), None)
    return head is not None and head.__name__ in (config.architectures or ())


def tasks_of(name: str | Path, revision: str | None = None) -> tuple[Task, ...]:
    """The tasks that a checkpoint's architecture has heads for, those it was saved with first.

    Raises:
        ValueError: No such checkpoint, or its architecture has none of them.
    """
    config = read_config(name, revision)
    possible: list[Task] = [task for task in TASKS if type(config) in _HEADS[task]]
    if not possible:
        raise ValueError(f"{name} is a {config.model_type}, which is no language model; name another checkpoint")
    return tuple(sorted(possible, key=lambda task: not has_head(name, task, revision)))
