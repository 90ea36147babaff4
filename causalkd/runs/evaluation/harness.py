"""Tasks of lm-evaluation-harness (MMLU, BBH and others) for the causal LMs of a run; everything is checked first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from causalkd.errors import nearest
from causalkd.models.checkpoints import locate


@dataclass(frozen=True)
class HarnessOptions:
    """Options of a call of the harness."""

    shots: int | None = None
    """Solved examples in every prompt; None means each task's own number."""
    batch_size: str = "1"
    """Rows of a forward pass: a number, or `auto` for as many as fit into memory."""
    chat_template: bool = False
    """Put prompts into the chat template of the model's tokenizer."""

    def faults(self, tokenizer: PreTrainedTokenizerBase | None = None) -> list[str]:
        """The faults of the options, and of a tokenizer for them, one per line."""
        found = []
        if self.shots is not None and self.shots < 0:
            found.append(f"shots is {self.shots}; give the number of examples in a prompt, from 0")
        number = self.batch_size.removeprefix("auto:") if self.batch_size != "auto" else "1"
        if not number.isdigit() or int(number) < 1:
            found.append(f"harness_batch is {self.batch_size!r}; give a number from 1, or auto")
        if self.chat_template and tokenizer is not None and tokenizer.chat_template is None:
            found.append(
                f"a chat template is asked for, but the tokenizer {tokenizer.name_or_path!r} has none; leave it out"
            )
        return found


def harness_faults(
    tasks: Sequence[str], options: HarnessOptions, tokenizer: PreTrainedTokenizerBase | None = None
) -> list[str]:
    """The reasons why the harness cannot run these tasks, one per line.

    Args:
        tasks: Names of its tasks, or YAML files of tasks in its form.
        options: The options of the call.
        tokenizer: The tokenizer of the models.

    The rows of every task are loaded, so that a fault is found before the first model is measured.
    """
    if not tasks:
        return []
    found = options.faults(tokenizer)
    if find_spec("lm_eval") is None:
        return [*found, "harness tasks need lm-evaluation-harness; install the extra: pip install 'causalkd[harness]'"]
    absent = [task for task in tasks if _is_file(task) and not Path(task).is_file()]
    if absent:
        return [*found, *(f"there is no file {task} with a task of the harness; correct the path" for task in absent)]
    manager = _manager(tuple(tasks))
    for task in tasks:
        name = _names(manager, [task])[0]
        if name is None:
            what = f"{task} holds no task or group" if _is_file(task) else f"the harness has no task {task!r}"
            near = "give it the key `task`" if _is_file(task) else nearest(task, list(manager.all_tasks))
            found.append(f"{what}; {near}")
            continue
        try:
            manager.load([name])
        except Exception as error:  # the harness and the code of its tasks may raise any error
            said = " ".join(str(error).split())[:300]
            found.append(
                f"the rows of the harness task {task!r} cannot be loaded ({type(error).__name__}: {said}); load them "
                "once where there is a network, or leave it out"
            )
    return found


def harness_scores(
    checkpoint: str | Path, tasks: Sequence[str], options: HarnessOptions, limit: int | None
) -> Mapping[str, Mapping[str, Any]]:
    """The harness's scores of a checkpoint, by task; empty without tasks. `limit` is the largest number of rows of
    each.
    """
    if not tasks:
        return {}
    batch: int | str = int(options.batch_size) if options.batch_size.isdigit() else options.batch_size
    manager = _manager(tuple(tasks))
    found = import_module("lm_eval").simple_evaluate(
        model="hf",
        model_args={"pretrained": locate(checkpoint)},
        tasks=_names(manager, tasks),
        num_fewshot=options.shots,
        batch_size=batch,
        apply_chat_template=options.chat_template,
        limit=limit,
        device="cuda" if torch.cuda.is_available() else "cpu",
        task_manager=manager,
    )
    return found["results"]


def _is_file(task: str) -> bool:
    return task.endswith((".yaml", ".yml"))


@lru_cache(maxsize=1)
def _manager(tasks: tuple[str, ...]) -> Any:
    """The harness's table of tasks, with those of the files; it takes a minute to read, so it is kept."""
    folders = sorted({str(Path(task).absolute().parent) for task in tasks if _is_file(task)})
    return import_module("lm_eval.tasks").TaskManager(include_path=folders or None)


def _names(manager: Any, tasks: Sequence[str]) -> list[Any]:
    """The harness's name of each task; None for one that it does not know."""
    known = set(manager.all_tasks)
    of_file = (
        {str(entry.yaml_path): name for name, entry in manager.task_index.items()} if any(map(_is_file, tasks)) else {}
    )
    return [
        of_file.get(str(Path(task).absolute())) if _is_file(task) else task if task in known else None for task in tasks
    ]
