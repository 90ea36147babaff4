"""The tokenizer of a recipe, and what a model or a tokenizer lacks of padding."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from causalkd.data.tasks.generated import generated_task
from causalkd.data.tasks.loading import task_spec
from causalkd.models.checkpoints import load_tokenizer, read_tokenizer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.sections import DataPart, TeacherPart
from causalkd.training.precomputed import read_index


def tokenizer_of(part: DataPart, teacher: TeacherPart) -> PreTrainedTokenizerBase:
    """The teacher's tokenizer, the one that the recipe names, or a planted task's own.

    Raises:
        ValueError: There is none, or a file of it is damaged.
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


def with_padding(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Uses the end token for padding where there is no padding token; the attention mask hides it from the model."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has neither a padding nor an end token to fill rows up with; "
                "give it a padding token and save it"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def completed(model: HookedModel, tokenizer: PreTrainedTokenizerBase) -> HookedModel:
    """Gives a checkpoint that lacks them the tokenizer and its padding id, by which decoders find a last token."""
    if model.tokenizer is None:
        model.tokenizer = tokenizer
    if model.model.config.pad_token_id is None:
        model.model.config.pad_token_id = tokenizer.pad_token_id
    return model
