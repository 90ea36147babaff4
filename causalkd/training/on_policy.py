"""Where the sequences come from that a causal LM learns on, where they are not the data's own.

Written by the teacher, once, before training (sequence-level KD: Kim and Rush 2016, arXiv 1606.07947); by the student
while it trains, for a share of the batches (on-policy, GKD: Agarwal et al. 2024, arXiv 2306.13649); or token by token
by one of the two (teacher-mixed sampling: Gu et al. 2024, arXiv 2306.08543).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from accelerate import PartialState
from jaxtyping import Int
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch, Example, Inputs, pad
from causalkd.models.generation import Mixture, Sampling, continue_prompts, left_padded
from causalkd.models.hooks.hooked_model import HookedModel


class OnPolicy:
    """Writes the responses of a share of the batches anew with the student, in whatever state it is in.

    The prompt of a row is everything before its first label. What is drawn is a function of the seed, the step, the
    micro-batch of the step and the process. No gradient flows through the drawing. Costs a forward a generated token.

    Args:
        student: Writes; the model being trained.
        sampling: How.
        share: Probability, 0 to 1, that a batch is written anew (λ of GKD).
        mixture: A model that draws a share of the tokens instead; None where the student draws all.
        seed: Seed of everything drawn.

    Raises:
        ValueError: The student writes no text.
    """

    def __init__(
        self, student: HookedModel, sampling: Sampling, share: float, mixture: Mixture | None = None, seed: int = 0
    ) -> None:
        self._student, self._sampling, self._share = student, sampling, share
        self._mixture, self._seed = mixture, seed

    def __call__(self, batch: Batch, step: int, micro: int = 0) -> Batch:
        """A micro-batch of a step, its responses perhaps written anew and labelled whole.

        Raises:
            ValueError: The batch has no labels per token, is packed, or has positions to exchange.
        """
        rng = np.random.default_rng((self._seed, step, micro, PartialState().process_index))
        if rng.random() >= self._share:
            return batch
        prompts = _prompts_of(batch, self._student)
        written = continue_prompts(self._student, prompts, self._sampling, int(rng.integers(2**62)), self._mixture)
        # Without example numbers: what is known of the examples, such as a teacher's outputs, is not true of these.
        return Batch(written.inputs, written.inputs["input_ids"].where(written.new, IGNORED))


def written_by_teacher(
    teacher: HookedModel, examples: Sequence[Example], sampling: Sampling, share: float, seed: int, batch_size: int
) -> list[dict[str, Any]]:
    """The examples with the responses of a share of them written by the teacher; segments are `prompt` and `response`.

    Which ones, and what is drawn, is a function of the seed. Costs a forward a generated token.

    Raises:
        ValueError: Examples have no labels per token, or the teacher writes no text.
    """
    if not all(isinstance(example.get("label"), list) and "documents" not in example for example in examples):
        raise ValueError("the teacher writes responses of causal LM examples that have labels and are not packed")
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(len(examples)) < share)
    found = [dict(example) for example in examples]
    starts = [_prompt_length(example["label"]) for example in examples]
    # Prompts of like length together, so that little of a batch is padding.
    numbers = sorted(chosen.tolist(), key=starts.__getitem__)
    for first in range(0, len(numbers), batch_size):
        batch = numbers[first : first + batch_size]
        prompts = [{"input_ids": examples[number]["input_ids"][: starts[number]]} for number in batch]
        inputs = {name: tensor.to(teacher.model.device) for name, tensor in pad(prompts, 0, "left").items()}
        written = continue_prompts(teacher, inputs, sampling, int(rng.integers(2**62)))
        for number, ids, new in zip(batch, written.inputs["input_ids"].cpu(), written.new.cpu(), strict=True):
            found[number] = _example(examples[number]["input_ids"][: starts[number]], ids[new].tolist())
    return found


def _example(prompt: list[int], response: list[int]) -> dict[str, Any]:
    ids = prompt + response
    segments = {"prompt": (0, len(prompt)), "response": (len(prompt), len(ids))}
    return {"input_ids": ids, "label": [IGNORED] * len(prompt) + response, "segments": segments}


def _prompts_of(batch: Batch, student: HookedModel) -> Inputs:
    if batch.labels is None or batch.labels.shape != batch.counted.shape:
        raise ValueError("responses are written anew for causal LM examples with a label per token; these have none")
    if "documents" in batch.inputs or batch.positions:
        what = "packed" if "documents" in batch.inputs else "exchanged"
        raise ValueError(
            f"responses are written anew while training, so rows cannot be {what}, which was settled before; leave "
            "that out, or let the teacher write the sequences"
        )
    tokenizer = student.tokenizer
    pad_id = tokenizer.pad_token_id if tokenizer is not None and isinstance(tokenizer.pad_token_id, int) else 0
    return left_padded(batch.inputs, _prompt_lengths(batch.counted, batch.labels), pad_id)


def _prompt_length(label: Sequence[int]) -> int:
    """How many tokens stand before the first label; at least one."""
    return max(1, next((hook_point for hook_point, each in enumerate(label) if each != IGNORED), len(label)))


def _prompt_lengths(counted: Tensor, labels: Tensor) -> Int[Tensor, "batch"]:
    """How many real tokens stand before a row's first label; at least one."""
    labelled = ((labels != IGNORED) & counted).long().argmax(1)
    return (labelled - counted.long().argmax(1)).clamp(min=1)
