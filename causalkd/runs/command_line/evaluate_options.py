"""Checks that the options of `causalkd evaluate` go together: none that is given may be without effect."""

from collections.abc import Callable, Mapping, Set
from inspect import signature
from typing import Any

_OF_TASK = ("split", "max_length", "out", "stride", "one_mask_a_row", "submission")
_OF_HARNESS = ("shots", "harness_batch", "chat_template")
_OF_LANGUAGE_MODELS = ("texts", "prompts", "harness", *_OF_HARNESS, "max_tokens")
_NOT_OF_SUBMISSION = ("split", "limit", "stride", "one_mask_a_row")


def given_options(command: Callable[..., None], values: Mapping[str, Any]) -> set[str]:
    """The names of a command's parameters that have another value than by default."""
    return {name for name, known in signature(command).parameters.items() if values[name] != known.default}


def check_options(given: Set[str]) -> None:
    """Refuses options that the rest of the call leaves without effect.

    Raises ValueError with the names of the options and what they belong to.
    """
    if "task" in given:
        _refuse(
            given,
            _OF_LANGUAGE_MODELS,
            "apply to the causal LMs of a run, not to --task; leave them out, or leave --task out",
        )
    else:
        _refuse(given, _OF_TASK, "belong to a task; name it with --task, or leave them out")
    if "submission" in given:
        _refuse(given, _NOT_OF_SUBMISSION, "do not go with --submission, which predicts all test rows; leave them out")
    if "harness" not in given:
        _refuse(given, _OF_HARNESS, "belong to a task of the harness; name it with --harness, or leave them out")


def _refuse(given: Set[str], names: tuple[str, ...], fault: str) -> None:
    found = [f"--{name.replace('_', '-')}" for name in names if name in given]
    if found:
        raise ValueError(f"{', '.join(found)} {fault}")
