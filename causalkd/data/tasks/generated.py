"""Tasks of the table that are generated instead of read: their examples and the known causal model of their labels."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.synthetic.registry import CausalModel, GeneratedTask
from causalkd.data.tasks.registry import TASKS
from causalkd.registries import imported

SPLITS = {"train": ("train", 50_000), "validation": ("heldout", 2_000)}
"""The generator's name of a split, and how many examples it makes where no limit is given."""


def generated_task(task: str) -> GeneratedTask | None:
    """The declaration of a generated task; None for a task that is read, or that is not in the table."""
    spec = TASKS.get(task)
    return None if spec is None or spec.generated is None else imported(spec.generated)


def causal_model(task: str) -> CausalModel | None:
    """The causal model of a task; None for a task that is read, of which it is not known."""
    made = generated_task(task)
    return None if made is None else made.causal_model


def generated_examples(
    task: str, split: str, tokenizer: PreTrainedTokenizerBase, limit: int | None, max_length: int, seed: int
) -> tuple[list[dict[str, Any]], str]:
    """The examples of a generated task, and a line that says where they came from.

    Raises ValueError for another vocabulary than the task's, or too little room for its rows.
    """
    made = generated_task(task)
    if made is None:
        raise ValueError(f"task '{task}' is not generated; load it with `load_examples`")
    generator = made.generator()
    if tokenizer.get_vocab() != generator.tokenizer().get_vocab():
        raise ValueError(
            f"task '{task}' has a vocabulary of its own, which {type(tokenizer).__name__} does not have. Leave "
            "`data.tokenizer` out of a recipe, and give models of fresh weights (`config`) or that were trained on it; "
            f"in Python the tokenizer is {type(generator).__name__}().tokenizer()"
        )
    own_split, size = SPLITS[split]
    examples = generator.examples(own_split, limit or size, seed)
    longest = max(len(example["input_ids"]) for example in examples)
    if longest > max_length:
        raise ValueError(f"task '{task}' has {longest} tokens a row, more than max_length {max_length}: allow as many")
    if own_split == "heldout":
        examples = [made.of_heldout(example) for example in examples]
    return examples, f"{made.title}, {own_split} frames, seed {seed}"
