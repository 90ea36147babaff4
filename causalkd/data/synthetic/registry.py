"""Tasks that are generated instead of read: each with its own vocabulary and a causal model that is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.synthetic import nli as planted
from causalkd.data.synthetic import stories as planted_lm
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.synthetic.stories import PlantedLM

SPLITS = {"train": ("train", 50_000), "validation": ("heldout", 2_000)}
"""The generator's name of a split, and how many examples it makes where no limit is given."""


class Generator(Protocol):
    """A task that makes its own examples."""

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        """`n` examples of the split `train` or `heldout`."""
        ...

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of its vocabulary."""
        ...


GENERATORS: Mapping[str, type[Generator]] = {"planted": PlantedNLI, "planted_lm": PlantedLM}
"""By the name of the task."""


class CausalModel(NamedTuple):
    """What is written down of a generated task's causal model."""

    variables: tuple[str, ...]
    """What can be exchanged: single variables, and several under one name."""
    counterfactuals: Callable[[Sequence[dict], Sequence[dict], str], np.ndarray]
    """The label of each base, or its answers in turn, after a variable takes the value it has in the source."""


def causal_model(task: str) -> CausalModel | None:
    """The causal model of a task; None for a task that is read, of which it is not known."""
    variables = (*planted_lm.GROUPS, *planted_lm.VARIABLES)
    known = {
        "planted": CausalModel(planted.VARIABLES, PlantedNLI().many_counterfactual_labels),
        "planted_lm": CausalModel(variables, PlantedLM().many_counterfactual_answers),
    }
    return known.get(task)


def generated_examples(
    task: str, split: str, tokenizer: PreTrainedTokenizerBase, limit: int | None, max_length: int, seed: int
) -> tuple[list[dict[str, Any]], str]:
    """The examples of a generated task, and a line that says where they came from.

    Held-out stories are labelled at their answers alone, as what else comes next in them is mostly chance.
    Raises ValueError for another vocabulary than the task's, or too little room for its rows.
    """
    generator = GENERATORS[task]()
    if tokenizer.get_vocab() != generator.tokenizer().get_vocab():
        name = GENERATORS[task].__name__
        raise ValueError(
            f"task '{task}' has a vocabulary of its own, which {type(tokenizer).__name__} does not have. Give "
            f"{name}().tokenizer(), and models that were made for it"
        )
    own_split, size = SPLITS[split]
    examples = generator.examples(own_split, limit or size, seed)
    longest = max(len(example["input_ids"]) for example in examples)
    if longest > max_length:
        raise ValueError(f"task '{task}' has {longest} tokens a row, more than max_length {max_length}: allow as many")
    if task == "planted_lm" and own_split == "heldout":
        examples = [{**example, "label": _answers_alone(example)} for example in examples]
    what = "the planted task" if task == "planted" else f"the {task} task"
    return examples, f"{what}, {own_split} frames, seed {seed}"


def _answers_alone(example: dict[str, Any]) -> list[int]:
    answers = [span for name, span in example["segments"].items() if name.startswith("answer")]
    labelled = {place for start, stop in answers for place in range(start, stop)}
    return [label if place in labelled else IGNORED for place, label in enumerate(example["label"])]
