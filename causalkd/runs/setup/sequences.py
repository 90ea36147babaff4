"""The writers of a recipe's `training.sequences`: the teacher before training, or the student during training."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.instructions import PromptStyle, reply_end
from causalkd.files.refusals import refused
from causalkd.models.generation import Mixture, Sampling
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.recipe.sections import DataPart, SequencesPart
from causalkd.runs.folder.layout import write_whole
from causalkd.runs.setup.data import Data
from causalkd.training.on_policy import OnPolicy, written_by_teacher

_BATCH = 32
"""The number of prompts that the teacher continues at once."""


def on_policy(
    part: SequencesPart | None,
    student: HookedModel,
    teacher: HookedModel | None,
    longest: int,
    seed: int,
    ends: tuple[int, ...] = (),
) -> OnPolicy | None:
    """The writer of responses during training; None if the recipe needs none.

    Rows are at most `longest` tokens long, and no longer than both models take; `ends` are the tokens that end a row in
    addition to the models' own.

    Raises:
        ValueError: The model does not generate text, or there is no teacher to mix with.
    """
    if part is None:
        return None
    _check_writes(student)
    if part.generator == "teacher":
        return None
    mixture = None
    if part.generator == "mixed":
        if teacher is None:
            raise ValueError("training.sequences.generator is 'mixed', and there is no teacher; use 'student'")
        mixture = Mixture(teacher, part.teacher_share)
    models = [student] if teacher is None else [student, teacher]
    return OnPolicy(student, _sampling(part, models, longest, ends), part.share, mixture, seed)


def data_with_written_responses(
    part: SequencesPart | None,
    data: Data,
    student: HookedModel,
    teacher: HookedModel,
    longest: int,
    folder: Path,
    ends: tuple[int, ...] = (),
) -> Data:
    """The data, with training responses written by the teacher if the recipe asks for them.

    Rows become at most `longest` tokens long, and no longer than both models take. They are written once and kept in
    `folder`, where a continued run, and students with the same settings and the same limit of tokens, read them.

    Raises:
        ValueError: The examples have no responses, or the teacher does not generate text.
    """
    if part is None or part.generator != "teacher":
        return data
    _check_writes(teacher)
    processes = PartialState()
    sampling = _sampling(part, [student, teacher], longest, ends)
    file = folder / f"{part.share}-{part.max_tokens}-{part.temperature}-{sampling.longest}.jsonl"
    if processes.is_main_process and not file.is_file():
        examples = written_by_teacher(teacher, data.train.examples, sampling, part.share, 0, _BATCH)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, "".join(json.dumps(example) + "\n" for example in examples))
    processes.wait_for_everyone()
    with refused(f"{file} is damaged", "delete it, and the teacher writes again"):
        written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return replace(data, train=replace(data.train, examples=written))


def prompt_style(part: DataPart) -> PromptStyle:
    """The format of the prompts that models are trained on; conversations always use the chat template."""
    return "chat" if part.kind == "chat" else part.prompt


def reply_ends(part: DataPart, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token that ends a turn of the chat template, if the data use it."""
    return tuple(reply_end(tokenizer, "chat")[-1:]) if prompt_style(part) == "chat" else ()


def _check_writes(model: HookedModel) -> None:
    if model.task != "causal_lm":
        raise ValueError(f"training.sequences is for causal LMs, and the task is {model.task}; leave it out")


def _sampling(part: SequencesPart, models: Sequence[HookedModel], longest: int, ends: tuple[int, ...]) -> Sampling:
    room = min(most_tokens(model.model) for model in models)
    return Sampling(part.max_tokens, part.temperature, min(longest, room), ends)
