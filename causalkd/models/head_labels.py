"""The outputs of a model's head: their number, their names, and their likelihood."""

from collections.abc import Sequence
from typing import Any, Literal

from transformers import PreTrainedConfig

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task

LABELLED: tuple[Task, ...] = ("classification", "multi_label", "token_classification")
"""Tasks whose heads have a named output a label."""
_PROBLEMS: dict[Task, Literal["single_label_classification", "multi_label_classification"]] = {
    "classification": "single_label_classification",
    "multi_label": "multi_label_classification",
}
"""Transformers' names for the likelihood of a head that has one output a label."""
NEW_HEAD = "with `causalkd finetune`, with `teacher.training` in a recipe, or with `new_head=True` in Python"
"""The advice on where a checkpoint with other labels, or without a head, is accepted."""
MOST_LABELS = 62
"""The largest number of labels of a multi-label head, whose predicted set of labels is compared as one whole number."""


def label_names(model: HookedModel) -> tuple[str, ...]:
    """The names of the head's outputs, in their order; empty for heads without labels."""
    if model.task not in LABELLED:
        return ()
    return _names(model.model.config)


def _names(config: PreTrainedConfig) -> tuple[str, ...]:
    names: dict[Any, str] = dict(config.id2label or {})
    return tuple(names[index] for index in range(len(names)))


def set_labels(
    config: PreTrainedConfig, task: Task, labels: Sequence[str] | None, *, new_head: bool, name: str
) -> None:
    """Sets the number and the names of a head's outputs, and their likelihood, in a configuration.

    Args:
        config: The configuration, which is changed.
        task: The task of the head.
        labels: The names of its outputs in their order; None keeps the configuration's.
        new_head: Whether a new head is to be trained, so that the task of the checkpoint's head does not matter.
        name: The checkpoint's name in messages.

    Raises:
        ValueError: The checkpoint's head has another likelihood or other labels, or there are too many labels.
    """
    if task == "regression":
        config.num_labels, config.problem_type = 1, "regression"
    elif task == "question_answering":
        config.num_labels = 2
    elif task in _PROBLEMS:
        _check_problem(config, task, new_head=new_head, name=name)
        if config.problem_type is not None or task == "multi_label":  # None is one label a row already
            config.problem_type = _PROBLEMS[task]
    if task in LABELLED and labels is not None:
        own = list(_names(config))
        unnamed = own == [f"LABEL_{index}" for index in range(len(own))]
        same = [name.casefold() for name in own] == [name.casefold() for name in labels]
        if not new_head and not same and not unnamed:
            order = " in this order" if sorted(map(str.casefold, own)) == sorted(map(str.casefold, labels)) else ""
            raise ValueError(
                f"checkpoint {name} has the labels {own}, but the labels {list(labels)} were asked for{order}; "
                f"use a checkpoint of this task, or train a new head: it starts at random {NEW_HEAD}"
            )
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
    if task == "multi_label" and (config.num_labels or 0) > MOST_LABELS:
        raise ValueError(
            f"{name} has {config.num_labels} labels of which a row may have several, and sets of at most {MOST_LABELS} "
            "labels can be compared here. Give `labels`, the most frequent ones"
        )


def _check_problem(config: PreTrainedConfig, task: Task, *, new_head: bool, name: str) -> None:
    """Refuses a head that was trained for another likelihood than the task's."""
    trained = config.problem_type
    if new_head or trained in (None, _PROBLEMS[task]):
        return
    suited = next(
        (each for each, problem in {**_PROBLEMS, "regression": "regression"}.items() if problem == trained), None
    )
    means = {
        "classification": "a distribution over one label a row",
        "multi_label": "a probability of each label by itself",
    }[task]
    raise ValueError(
        f"checkpoint {name} has problem_type {trained!r}, so its outputs are not {means}, which is what {task} "
        f"compares. Use another checkpoint{f', or the task {suited}' if suited else ''}"
    )
