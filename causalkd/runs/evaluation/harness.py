"""Tasks of lm-evaluation-harness (MMLU, BBH and others) for the causal LMs of a run; everything is checked first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """How the harness asks a model."""

    shots: int | None = None
    """Solved examples in every prompt; None for the number that each task has of its own."""
    batch_size: str = "1"
    """Rows of a forward pass: a number, or `auto` for what fits into memory."""
    chat_template: bool = False
    """Put prompts into the chat template of the model's tokenizer."""

    def faults(self, tokenizer: PreTrainedTokenizerBase | None = None) -> list[str]:
        """What is wrong with them, and with a tokenizer for them, a line each."""
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
    """Why the harness cannot be asked for these tasks, a line each; asks it which tasks it knows."""
    if not tasks:
        return []
    found = options.faults(tokenizer)
    if find_spec("lm_eval") is None:
        return [*found, "harness tasks need lm-evaluation-harness; install the extra: pip install 'causalkd[harness]'"]
    known = list(import_module("lm_eval.tasks").TaskManager().all_tasks)
    return found + [f"the harness has no task {task!r}; {nearest(task, known)}" for task in tasks if task not in known]


def harness_scores(
    checkpoint: str | Path, tasks: Sequence[str], options: HarnessOptions, limit: int | None
) -> Mapping[str, Mapping[str, Any]]:
    """What the harness finds of a checkpoint, by task; nothing without tasks. `limit` is the most rows of each."""
    if not tasks:
        return {}
    batch: int | str = int(options.batch_size) if options.batch_size.isdigit() else options.batch_size
    found = import_module("lm_eval").simple_evaluate(
        model="hf",
        model_args={"pretrained": locate(checkpoint)},
        tasks=list(tasks),
        num_fewshot=options.shots,
        batch_size=batch,
        apply_chat_template=options.chat_template,
        limit=limit,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    return found["results"]
