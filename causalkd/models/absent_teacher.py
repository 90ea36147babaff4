"""A teacher without weights: the facts that its configuration gives about it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.models.checkpoints import read_config, read_tokenizer
from causalkd.models.heads import auto_class
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task

_PLACES = "hook_points.json"


class AbsentTeacher(HookedModel):
    """A teacher of which everything but its weights is known, so it has no forward pass.

    Args:
        folder: The folder in which `describe_teacher` has described it.
        task: The task of its head.

    Raises:
        ValueError: The folder lacks the description, or it is damaged.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        config, tokenizer, places = read_config(folder), read_tokenizer(folder), folder / _PLACES
        with refused(f"{places} cannot be read", "call `causalkd precompute` again"):
            found = tuple(HookPoint(**each) for each in json.loads(places.read_text(encoding="utf-8")))
        with torch.device("meta"):
            model = auto_class(config, task).from_config(config, trust_remote_code=False)
        super().__init__(model, tokenizer, task=task, role="teacher")
        self.folder = folder
        self._hook_points = found  # as they were measured when the teacher was there

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as its folder."""
        return AbsentTeacher, (self.folder, self.task), {"entries": self.entries}


def describe_teacher(teacher: HookedModel, folder: Path) -> None:
    """Writes the files of an `AbsentTeacher`: configuration, tokenizer, hook points; no weights."""
    assert teacher.tokenizer is not None
    teacher.model.config.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    write_whole(folder / _PLACES, json.dumps([asdict(each) for each in teacher.hook_points()], indent=1))
