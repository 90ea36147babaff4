"""The sequences that a causal LM is trained on if they are not those of the data.

They are written by the teacher, once, before training (sequence-level KD: Kim and Rush 2016, arXiv 1606.07947); by the
student during its training, for a share of the batches (on-policy, GKD: Agarwal et al. 2024, arXiv 2306.13649); or
token by token by one of the two (teacher-mixed sampling: Gu et al. 2024, arXiv 2306.08543).
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

_NO_RESPONSE = "no labelled token, so it is not known where a response begins that could be written; leave them out"


class OnPolicy:
    """Replaces the responses of a share of the batches by the student's own, in its present state.

    The prompt of a row is everything before its first label. All draws are a function of the seed, the step, the
    micro-batch of the step and the process. No gradient flows through the sampling. Costs one forward per generated
    token.

    Args:
        student: The model being trained, which writes.
        sampling: The sampling settings.
        share: Probability, 0 to 1, that a batch gets new responses (λ of GKD).
        mixture: A model that draws a share of the tokens instead; None if the student draws all.
        seed: The seed of all draws.

    Raises:
        ValueError: The student does not generate text.
    """

    def __init__(
        self, student: HookedModel, sampling: Sampling, share: float, mixture: Mixture | None = None, seed: int = 0
    ) -> None:
        self._student, self._sampling, self._share = student, sampling, share
        self._mixture, self._seed = mixture, seed

    def __call__(self, batch: Batch, step: int, micro: int = 0) -> Batch:
        """A micro-batch of a step, perhaps with new responses and all of them labelled.

        Raises:
            ValueError: The batch has no labels per token, is packed, has positions of interventions, or a row without a
                labelled token.
        """
        rng = np.random.default_rng((self._seed, step, micro, PartialState().process_index))
        if rng.random() >= self._share:
            return batch
        prompts = _prompts_of(batch, self._student)
        written = continue_prompts(self._student, prompts, self._sampling, int(rng.integers(2**62)), self._mixture)
        # Without example numbers: facts about the examples, such as a teacher's outputs, do not hold for these rows.
        return Batch(written.inputs, written.inputs["input_ids"].where(written.new, IGNORED))


def written_by_teacher(
    teacher: HookedModel, examples: Sequence[Example], sampling: Sampling, share: float, seed: int, batch_size: int
) -> list[dict[str, Any]]:
    """The examples with the responses of a share of them written by the teacher; segments are `prompt` and
    `response`.

    Which ones, and all draws, are a function of the seed. Costs one forward per generated token.

    Raises:
        ValueError: Examples have no labels per token, or one no labelled token, or the teacher does not generate text.
    """
    if not all(isinstance(example.get("label"), list) and "documents" not in example for example in examples):
        raise ValueError("the teacher writes responses of causal LM examples that have labels and are not packed")
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(len(examples)) < share)
    found = [dict(example) for example in examples]
    if unlabelled := sum(all(each == IGNORED for each in example["label"]) for example in examples):
        raise ValueError(f"{unlabelled} of {len(examples)} examples have {_NO_RESPONSE}")
    starts = [_prompt_length(example["label"]) for example in examples]
    # Prompts of similar length together, so that little of a batch is padding.
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
        raise ValueError("responses can be written only for causal LM examples with a label per token; these have none")
    if "documents" in batch.inputs or batch.positions:
        what = "packed" if "documents" in batch.inputs else "intervened on"
        raise ValueError(
            f"responses are written during training, so rows cannot be {what} before it; leave "
            "that out, or let the teacher write the sequences"
        )
    tokenizer = student.tokenizer
    pad_id = tokenizer.pad_token_id if tokenizer is not None and isinstance(tokenizer.pad_token_id, int) else 0
    return left_padded(batch.inputs, _prompt_lengths(batch.counted, batch.labels), pad_id)


def _prompt_length(label: Sequence[int]) -> int:
    """The number of tokens before the first label; at least one."""
    return max(1, next(position for position, each in enumerate(label) if each != IGNORED))


def _prompt_lengths(counted: Tensor, labels: Tensor) -> Int[Tensor, "batch"]:
    """The number of real tokens before a row's first label; at least one."""
    labelled = (labels != IGNORED) & counted
    if unlabelled := int((~labelled.any(1)).sum()):
        raise ValueError(f"{unlabelled} of {len(labels)} rows of a batch have {_NO_RESPONSE}")
    return (labelled.long().argmax(1) - counted.long().argmax(1)).clamp(min=1)
