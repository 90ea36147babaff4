"""The tokenizers of a recipe, and padding for models and tokenizers that lack it."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.generated import generated_task
from causalkd.data.tasks.loading import task_spec
from causalkd.models.checkpoints import find_tokenizer, load_tokenizer, read_tokenizer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete_padding
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart
from causalkd.training.precomputed import read_index


def tokenizer_of(part: DataPart, teacher: TeacherPart) -> PreTrainedTokenizerBase:
    """The teacher's tokenizer, the one that the recipe names, or a planted task's own.

    Raises:
        ValueError: There is no tokenizer, or a file of it is damaged.
    """
    if teacher.outputs is not None:
        read_index(Path(teacher.outputs))
    if teacher.origin is not None:
        return load_tokenizer(teacher.origin)
    if part.task is not None:
        task_spec(part.task)
    if part.tokenizer is not None:
        return read_tokenizer(part.tokenizer)
    made = generated_task(part.data_name)
    if made is None:
        raise ValueError("a teacher with fresh weights needs `data.tokenizer`: the hub name or folder of a tokenizer")
    return made.generator().tokenizer()


def students_tokenizer(
    students: Sequence[StudentPart], teachers: PreTrainedTokenizerBase
) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the students, if it is another than the teacher's; None if they read its tokens.

    Raises:
        ValueError: A checkpoint is missing, or the students have different tokenizers: the rows of a run are read with
            two tokenizers at most.
    """
    own = {part.name: _own_tokenizer(part) for part in students}
    known = teachers.get_vocab()
    others = {name: each for name, each in own.items() if each is not None and each.get_vocab() != known}
    if not others:
        return None
    first, tokenizer = next(iter(others.items()))
    unlike = [name for name in own if name not in others or others[name].get_vocab() != tokenizer.get_vocab()]
    if unlike:
        raise ValueError(
            f"student {first!r} has a tokenizer of its own, and {', '.join(map(repr, unlike))} another one or the "
            "teacher's; all students of a run read the same tokens: make a run for each tokenizer"
        )
    return with_padding(tokenizer)


def _own_tokenizer(part: StudentPart) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a student's own checkpoint; None if it has none, or is cut from the teacher."""
    try:
        return None if part.model is None else find_tokenizer(part.model)
    except ValueError as error:
        raise ValueError(f"student {part.name!r}: {error}") from error


def with_padding(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Uses the end token for padding if there is no padding token; the attention mask hides it from the model."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has neither a padding nor an end token to fill rows up with; "
                "give it a padding token and save it"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def completed(model: HookedModel, tokenizer: PreTrainedTokenizerBase) -> HookedModel:
    """Gives a model the tokenizer and its padding id, if it lacks them; decoders find the last token by the padding
    id.
    """
    if model.tokenizer is None:
        model.tokenizer = tokenizer
    assert isinstance(tokenizer.pad_token_id, int)
    complete_padding(model.model, tokenizer.pad_token_id)
    return model
