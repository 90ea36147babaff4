"""Students made of another model: cut from a teacher, or with the same configuration and no training at all."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedConfig

from causalkd.models.block_copies import check_copy, copy_weights
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.layer_settings import chosen_blocks, keep_blocks, set_width
from causalkd.models.load import fresh_model, model_from_config, move_to, trainable
from causalkd.models.plain_weights import plain_model


def student_from_teacher(
    teacher: HookedModel,
    *,
    layers: Sequence[int] | None = None,
    every: int | None = None,
    width: int | None = None,
    seed: int = 0,
) -> HookedModel:
    """A student of the teacher's architecture that starts from some of the teacher's blocks.

    Everything outside the blocks is copied too. At the teacher's width the student is checked to compute, on a short
    row, what the teacher computes with the other blocks left out. At another width, what does not fit (almost all)
    starts fresh. Weights are in the teacher's precision, but in float32 at least; adapters of a teacher are merged and
    quantised weights dequantised first.

    Args:
        teacher: Where the weights come from; it is not changed.
        layers: The teacher's block behind each block of the student.
        every: Instead of `layers`: blocks 0, every, 2·every, …
        width: Width of the student's blocks; heads keep their width. None keeps the teacher's.
        seed: Seed of weights that start fresh.

    Raises:
        ValueError: Not exactly one of `layers` and `every`, a layer the teacher lacks, a width no head fits, a teacher
            whose weights cannot be had as plain numbers, or blocks that would compute something else in a student.
    """
    given, chosen = _plain(teacher), chosen_blocks(teacher.n_layers, layers, every)
    config = cut_config(given, layers=layers, every=every, width=width)
    as_wide = width is None or width == teacher.width
    own = trainable(given.model.dtype)

    def cut(dtype: torch.dtype | None) -> tuple[HookedModel, tuple[str, ...]]:
        made = model_from_config(config, teacher.tokenizer, task=teacher.task, role="student", seed=seed, dtype=dtype)
        _end_rows_alike(teacher, made)
        left = copy_weights(given, made, chosen)
        move_to(made, given.model.device)
        return made, left

    student, left = cut(given.model.dtype if as_wide else own)
    if student.width != (width or teacher.width):
        raise ValueError(
            f"a {config.model_type} keeps its width of {student.width} where width={width} is asked for; leave `width` "
            "out, or train a student that has a configuration of its own"
        )
    if as_wide:
        check_copy(given, student, chosen, left)
    if as_wide and own != given.model.dtype:
        # Built anew, because what a model computes for itself and does not save was rounded as in the teacher.
        student, _ = cut(own)
    move_to(student, given.model.device, own)
    return student


def cut_config(
    teacher: HookedModel, *, layers: Sequence[int] | None = None, every: int | None = None, width: int | None = None
) -> PreTrainedConfig:
    """The configuration of the student that `student_from_teacher` makes of the same arguments.

    Raises:
        ValueError: Not exactly one of `layers` and `every`, a layer the teacher lacks, or a width no head fits.
    """
    config = keep_blocks(teacher.model.config, chosen_blocks(teacher.n_layers, layers, every))
    if width is not None and width != teacher.width:
        set_width(config, width, teacher.width, teacher.n_heads)
    return config


def _end_rows_alike(teacher: HookedModel, student: HookedModel) -> None:
    """Lets a student end what it writes at the teacher's end tokens; chat models name several beside their
    configuration.
    """
    theirs, own = (getattr(model.model, "generation_config", None) for model in (teacher, student))
    if theirs is not None and own is not None:
        own.eos_token_id = theirs.eos_token_id


def _plain(model: HookedModel) -> HookedModel:
    """The model itself, or a twin with its adapters and quantised weights worked in."""
    stock = plain_model(model.model)
    return model if stock is model.model else HookedModel(stock, model.tokenizer, task=model.task, role="teacher")


def untrained_copy(model: HookedModel, seed: int) -> HookedModel:
    """A model of the same configuration with fresh weights: the untrained baseline."""
    untrained_student = fresh_model(
        model.model.config, model.tokenizer, task=model.task, role="student", labels=None, seed=seed
    )
    untrained_student.entries = model.entries
    move_to(untrained_student, model.model.device, model.model.dtype)
    untrained_student.model.eval()
    return untrained_student
