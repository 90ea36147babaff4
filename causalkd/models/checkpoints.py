"""The location of a checkpoint and its own description, read before any weight."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from causalkd.errors import few
from causalkd.files.refusals import json_fault, refused
from causalkd.models.architectures import refusal_of
from causalkd.models.config_bounds import beyond_bounds
from causalkd.models.filed_tokenizers import SETTINGS, WORDS, as_filed, folder_of_files, has_tokenizer_files
from causalkd.models.heads import head_classes
from causalkd.models.packaged_weights import PACKAGED, packaged_folder
from causalkd.task_types import TASK_TYPES, Task

_ADAPTERS = "adapter_config.json"
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
_FURTHER = ("special_tokens_map.json", "added_tokens.json", "vocab.json")


def locate(name: str | Path) -> str:
    """The folder or hub name behind a name.

    Raises:
        ValueError: The package that carries the weights is not installed.
    """
    return packaged_folder(str(name)) if str(name) in PACKAGED else str(name)


def read_config(name: str | Path, revision: str | None = None) -> PreTrainedConfig:
    """A checkpoint's configuration; `revision` is a branch, tag or commit of the hub, None for its main branch.

    Raises:
        ValueError: No such checkpoint, or a revision of one that is not on the hub.
    """
    location = locate(name)
    if revision is not None and Path(location).is_dir():
        raise ValueError(
            f"revision {revision!r} was given for {name}, which is a folder and has no revisions; leave it out, or "
            "name a model of the hub"
        )
    _refuse_adapters(Path(location))
    file = Path(location) / "config.json"
    if file.is_file():
        with refused(f"the configuration of checkpoint {name} cannot be read", f"correct {file}"):
            _check_written(file)
            config = AutoConfig.from_pretrained(location, trust_remote_code=False)
            _check_values(config)
            return config
    try:
        return AutoConfig.from_pretrained(location, revision=revision or "main", trust_remote_code=False)
    except (OSError, ValueError) as error:
        found = [file.parent for depth in ("*", "*/*") for file in Path(location).glob(f"{depth}/config.json")]
        inside = few(sorted(map(str, found)), 5)
        raise ValueError(
            f"no checkpoint {str(name)!r}: it is neither a folder with a config.json nor a model that the hub gave. "
            + (f"It has checkpoints inside: {inside}. Name one of these" if inside else "Name a folder")
            + f", a hub model, or one of {', '.join(PACKAGED)}."
        ) from error


def _refuse_adapters(folder: Path) -> None:
    """Refuses a folder with the adapters of a model and not the model."""
    if (folder / _ADAPTERS).is_file() and not any(next(folder.glob(names), None) for names in _WEIGHTS):
        raise ValueError(
            f"{folder} holds adapters of peft and not the weights that they are for; merge them into these with peft's "
            "merge_and_unload(), save the result and the tokenizer, and name that folder"
        )


def find_tokenizer(name: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a checkpoint; None if it has no file of one, for which transformers often makes one without
    words.

    Raises:
        ValueError: No such checkpoint, or one with a tokenizer that transformers cannot load; says why.
    """
    read_config(name, revision)
    location = locate(name)
    if Path(location).is_dir() and not has_tokenizer_files(Path(location)):
        return None
    try:
        return read_tokenizer(name, revision)
    except ValueError:
        if has_tokenizer_files(folder_of_files(location, revision)):
            raise
        return None


def read_tokenizer(origin: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, of the hub, or of a package; it splits text as its tokenizer.json says.

    Raises:
        ValueError: There is none, a file of it is damaged, or it needs a library that is missing or code of its own;
            the message names it, and if possible the key.
    """
    folder = Path(locate(origin))
    _check_tokenizer_files(folder)
    code = "(code that comes with a tokenizer is not run)"
    if not folder.is_dir():
        what = f"tokenizer {str(origin)!r} is neither a folder nor on the hub, or cannot be loaded"
        advice = f"name another, or install what it needs {code}"
    elif has_tokenizer_files(folder):
        what = f"the tokenizer in {folder} cannot be loaded"
        advice = (
            f"install what it needs, put its files back from a copy, or save it again as one of transformers {code}"
        )
    else:
        what, advice = f"{folder} has no tokenizer", "save one there, or name another folder"
    with refused(what, advice):
        found = AutoTokenizer.from_pretrained(str(folder), revision=revision or "main", trust_remote_code=False)
        if len(found) <= len(found.all_special_tokens):
            raise ValueError("it has no words")
        longest = found.model_max_length
        if isinstance(longest, bool) or not isinstance(longest, int | float) or longest < 1:
            raise ValueError(f"`model_max_length` in its tokenizer_config.json is {longest!r}, which is no length")
        return as_filed(found, folder_of_files(str(folder), revision))


def _check_tokenizer_files(folder: Path) -> None:
    """Refuses a folder with a file of a tokenizer that is not a JSON mapping.

    Raises:
        ValueError: Names every such file.
    """
    faults = [fault for name in (WORDS, SETTINGS, *_FURTHER) if (fault := json_fault(folder / name)) is not None]
    if faults:
        raise ValueError(
            "\n".join(f"{fault}; put the file back from a copy, or save the tokenizer again" for fault in faults)
        )


def _check_written(file: Path) -> None:
    if (fault := json_fault(file)) is not None:
        raise ValueError(fault)
    values = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(values.get("model_type", ""), str):
        raise ValueError(f"`model_type` is {values['model_type']!r}, but must be a name")
    if faults := beyond_bounds(_of_its_type(values)):
        raise ValueError("; ".join(faults))


def _of_its_type(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that its type of model has; a configuration may hold others, such as the size of a data set."""
    kind = values.get("model_type", "")
    known = _fields(CONFIG_MAPPING[kind]) if kind in CONFIG_MAPPING else set[str]()
    return {name: value for name, value in values.items() if name in known}


def _fields(kind: type[PreTrainedConfig]) -> set[str]:
    """The names of a configuration's values and, since older files give these beside them, of those of its parts."""
    of_parts: Any = kind.sub_configs  # a mapping, which its type hides
    parts = [part for part in of_parts.values() if issubclass(part, PreTrainedConfig)]
    return {*inspect.signature(kind).parameters, *kind.attribute_map}.union(*map(_fields, parts))


def _check_values(config: PreTrainedConfig) -> None:
    """Refuses values that transformers accepts, but at which it fails later."""
    heads, names = config.architectures, config.id2label
    if heads is not None and not (isinstance(heads, list) and all(isinstance(each, str) for each in heads)):
        raise ValueError(f"`architectures` is {heads!r}, but must be a list of names")
    known = dict(names or {})
    if sorted(known) != list(range(len(known))) or not all(isinstance(each, str) for each in known.values()):
        raise ValueError(f"`id2label` is {names!r}, but must give a name to each number from 0")


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        ValueError: No such checkpoint, or no tokenizer in it.
    """
    found = find_tokenizer(name)
    if found is None:
        raise ValueError(f"checkpoint {name} has no tokenizer; save the one it was trained with beside it")
    return found


def has_head(name: str | Path, task: Task, revision: str | None = None) -> bool:
    """Whether a checkpoint was saved with the head of a task.

    Raises:
        ValueError: No such checkpoint.
    """
    return _is_saved_with(read_config(name, revision), task)


def _is_saved_with(config: PreTrainedConfig, task: Task) -> bool:
    return any(head.__name__ in (config.architectures or ()) for head in head_classes(type(config), task))


def tasks_of(name: str | Path, revision: str | None = None) -> tuple[Task, ...]:
    """The tasks that a checkpoint's architecture has heads for, those it was saved with first.

    Raises:
        ValueError: No such checkpoint, or its architecture has none of them, or is one that cannot be used.
    """
    config = read_config(name, revision)
    refusal = refusal_of(config)
    if refusal is not None:
        raise ValueError(f"{(config.architectures or [config.model_type])[0]} {refusal}; {name} was given")
    possible: list[Task] = [task for task in TASK_TYPES if head_classes(type(config), task)]
    if not possible:
        raise ValueError(f"{name} is a {config.model_type}, which is no language model; name another checkpoint")
    return tuple(sorted(possible, key=lambda task: not _is_saved_with(config, task)))
