"""The registry of generated tasks: each has its own vocabulary and a known causal model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.synthetic import nli as planted
from causalkd.data.synthetic import stories as planted_lm
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.synthetic.stories import PlantedLM


class Generator(Protocol):
    """A task that makes its own examples."""

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        """`n` examples of the split `train` or `heldout`."""
        ...

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of its vocabulary."""
        ...


class CausalModel(NamedTuple):
    """The known causal model of a generated task."""

    variables: tuple[str, ...]
    """The variables of an intervention: single ones, and several under one name."""
    counterfactuals: Callable[[Sequence[dict], Sequence[dict], str], np.ndarray]
    """The label of each base, or its answers in turn, after a variable takes the value it has in the source."""


@dataclass(frozen=True)
class GeneratedTask:
    """The declaration of a generated task.

    Attributes:
        generator: Makes the examples and their tokenizer.
        title: The task's name in the line that says where examples came from.
        causal_model: The known causal model of the labels; None if it is not known.
        single_variables: The variables of the causal model of which each has one value in an example.
        value_of: The value of one of these in an example, by which pairs are chosen that differ in it.
        of_heldout: The function that is applied to every held-out example.
    """

    generator: Callable[[], Generator]
    title: str
    causal_model: CausalModel | None = None
    single_variables: tuple[str, ...] = ()
    value_of: Callable[[dict, str], Any] | None = None
    of_heldout: Callable[[dict], dict] = lambda example: example


def _value_of(example: dict, variable: str) -> Any:
    return PlantedNLI().variables(example)[variable]


def _answers_alone(example: dict[str, Any]) -> dict[str, Any]:
    """Labels a held-out story at its answers alone, since its other tokens are mostly chance."""
    answers = [span for name, span in example["segments"].items() if name.startswith("answer")]
    labelled = {place for start, stop in answers for place in range(start, stop)}
    label = [label if place in labelled else IGNORED for place, label in enumerate(example["label"])]
    words = example["text"].split(
        " "
    )  # of which the first is the second token; each of the others has a space before it
    return {**example, "label": label, "bytes": sum(1 + len(words[place - 1]) for place in labelled)}


PLANTED = GeneratedTask(
    PlantedNLI,
    "the planted task",
    CausalModel(planted.VARIABLES, PlantedNLI().many_counterfactual_labels),
    planted.VARIABLES,
    _value_of,
)
PLANTED_LM = GeneratedTask(
    PlantedLM,
    "the planted_lm task",
    CausalModel((*planted_lm.GROUPS, *planted_lm.VARIABLES), PlantedLM().many_counterfactual_answers),
    of_heldout=_answers_alone,
)
