"""Builders of a recipe's objects: models, alignments, batches. The objects take flat arguments, never a recipe."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from causalkd.alignment.presets import READY_MADE, preset
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch, Example
from causalkd.data.masking import Masking
from causalkd.data.pairs.collator import PairingCollator
from causalkd.data.pairs.selection import (
    Fits,
    both,
    choose_pairs,
    other_label,
    other_variable,
    same_length,
    same_segments,
)
from causalkd.data.tasks.generated import generated_task
from causalkd.data.tasks.loading import Examples
from causalkd.errors import nearest
from causalkd.models.absent_teacher import AbsentTeacher
from causalkd.models.checkpoints import has_head
from causalkd.models.configs import make_config
from causalkd.models.filed_tokenizers import split_alike
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.models.load import load_model, model_from_config
from causalkd.models.loading_options import named_options
from causalkd.models.lora import add_lora
from causalkd.models.students import student_from_teacher
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.tokenizers import completed
from causalkd.training.precomputed import read_index


def build_teacher(part: TeacherPart, data: Data, role: Role) -> HookedModel:
    """The recipe's teacher before any training: a checkpoint, or fresh weights of a configuration.

    Raises:
        ValueError: The checkpoint is missing, or it lacks the head and the recipe does not train one.
    """
    shared: dict[str, Any] = {"task": data.train.kind, "role": role, "labels": data.labels, "seed": part.seed}
    try:
        if part.outputs is not None:
            return completed(AbsentTeacher(Path(part.outputs) / "teacher", data.train.kind), data.tokenizer)
        if part.model is not None:
            loading = named_options(part.dtype, part.device_map) if role == "teacher" else {}
            loaded = load_model(part.model, new_head=part.training is not None, **shared, **loading)
            return completed(loaded, data.tokenizer)
        return model_from_config(make_config(part.config or {}, data.tokenizer), data.tokenizer, **shared)
    except ValueError as error:
        where = f"teacher.{'outputs' if part.outputs else 'config' if part.model is None else 'model'}"
        raise ValueError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from error


def build_student(part: StudentPart, teacher: HookedModel, data: Data, seed: int) -> HookedModel:
    """An untrained student: cut from the teacher, or loaded from its own checkpoint, which may lack the head.

    Raises:
        ValueError: A layer, width or checkpoint does not exist, a checkpoint's head has other labels,
            or the student has no layers for the adapters.
    """
    student = build_start(part, teacher, data, seed)
    if part.lora is not None:
        add_lora(student, **part.lora.model_dump(), seed=seed)
    return student


def build_start(part: StudentPart, teacher: HookedModel, data: Data, seed: int) -> HookedModel:
    """An untrained student without adapters; if the teacher is absent, the one that was cut from it before."""
    task = teacher.task
    if isinstance(teacher, AbsentTeacher) and part.model is None:
        _check_start(part, seed, teacher.folder.parent)
        start = teacher.folder.parent / "students" / f"{part.name}-seed{seed}"
        return completed(load_model(start, task=task, role="student", labels=data.labels), data.tokenizer)
    if part.model is not None:
        new_head = not has_head(part.model, task)
        loaded = load_model(part.model, task=task, role="student", labels=data.labels, new_head=new_head, seed=seed)
        return completed(_with_tokenizer(loaded, data.tokenizer_of("student"), part.name), data.tokenizer_of("student"))
    return student_from_teacher(teacher, layers=part.layers, every=part.every, width=part.width, seed=seed)


def _with_tokenizer(student: HookedModel, read: PreTrainedTokenizerBase, name: str) -> HookedModel:
    """The student with the tokenizer that makes its rows, if its own makes others: it is saved with what it learns."""
    if student.tokenizer is not None and not split_alike(student.tokenizer, read, special_tokens=True):
        warnings.warn(
            f"the tokenizer of student {name!r} has the teacher's vocabulary, but makes other tokens of a text; the "
            "student learns from the teacher's tokens, and is saved with the teacher's tokenizer",
            stacklevel=2,
        )
        student.tokenizer = read
    return student


def _check_start(part: StudentPart, seed: int, outputs: Path) -> None:
    """Refuses a student that was cut from the teacher in another way when the teacher's outputs were written."""
    made = read_index(outputs)["recipe"]
    before = next((each for each in made["students"] if each["name"] == part.name), None)
    keys = ("layers", "every", "width")
    now = part.model_dump(mode="json")
    if before is None or seed not in made["seeds"] or any(before[key] != now[key] for key in keys):
        known = (
            "no such student" if before is None else f"{ {key: before[key] for key in keys} }, seeds {made['seeds']}"
        )
        raise ValueError(
            f"the outputs in {outputs} were written for {known}, and student {part.name!r} is now "
            f"{ {key: now[key] for key in keys} }, seed {seed}; call `causalkd precompute` with this recipe again"
        )


def build_alignment(given: Alignment | str, teacher: HookedModel, student: HookedModel) -> Alignment:
    """The recipe's alignment: inline, from a file, or a preset for these depths."""
    if isinstance(given, Alignment):
        return given
    if given in READY_MADE:
        return preset(given, teacher.n_layers, student.n_layers)
    if "\n" in given or ": " in given:
        return Alignment.from_yaml(given)
    if not Path(given).is_file():
        raise ValueError(f"alignment {given!r} is neither a preset nor a file; {nearest(given, list(READY_MADE))}")
    return Alignment.from_yaml(Path(given))


def build_collator(
    part: DataPart, examples: Examples, tokenizer: PreTrainedTokenizerBase, alignment: Alignment | None, seed: int
) -> PairingCollator:
    """The collator of a training; with an alignment it draws sources and positions."""
    assert isinstance(tokenizer.pad_token_id, int)
    return PairingCollator(
        examples.examples,
        {} if alignment is None else alignment.policies(),
        tokenizer.pad_token_id,
        "right",  # Tokenizer files may say otherwise, but encoders count positions from the left edge.
        part.sources,
        part.group,
        seed,
        build_masking(examples, tokenizer),
        examples.student_pad_id,
    )


def build_masking(examples: Examples, tokenizer: PreTrainedTokenizerBase) -> Masking | None:
    """The masking of a masked LM's inputs; None for every other task."""
    return Masking.from_tokenizer(tokenizer) if examples.kind == "masked_lm" else None


def build_pairs(recipe: Recipe, data: Data, alignment: Alignment, right: Tensor | None = None) -> Sequence[Batch]:
    """The held-out pairs of verification, the short ones first, so that batches hold little padding.

    A batch is made when it is read, so that memory does not limit the number of pairs.

    Args:
        recipe: The recipe, which has the number of pairs, their selection and their batch size.
        data: The data whose held-out examples are used.
        alignment: The alignment, which has the position policies.
        right: Which examples every model predicts correctly; None, before there are models, means all.

    Raises:
        ValueError: The held-out examples make fewer such pairs, or a position policy does not fit them.
    """
    part, examples = recipe.verification, data.heldout.examples
    collator = build_collator(recipe.data, data.heldout, data.tokenizer, alignment, part.seed)
    try:
        base, source = choose_pairs(examples, part.pairs, part.seed, _fitting(recipe, examples, right))
    except ValueError as error:
        raise ValueError(f"verification.pairs: {error}") from None
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    # Positions are drawn by the number of the pair, so the order of pairs does not change them.
    keys = torch.argsort(torch.maximum(lengths[base], lengths[source]), stable=True)
    return collator.of_pairs(base[keys], source[keys], keys, part.batch_size)


def _fitting(recipe: Recipe, examples: Sequence[Example], right: Tensor | None) -> Fits:
    """The pairs that the recipe selects."""
    choose, variable = recipe.verification.pair_selection, recipe.verification.variable
    if choose == "other_variable":
        made = generated_task(recipe.data.data_name)
        known = () if made is None else made.single_variables
        if made is None or made.value_of is None or variable is None or variable not in known:
            raise ValueError(
                f"variable {variable!r} is not in a causal model of the task {recipe.data.data_name!r}"
                + (f"; it has {', '.join(known)}" if known else "; choose pairs by a variable for the task planted")
            )
        value_of = made.value_of
        return other_variable(examples, lambda example: value_of(dict(example), variable))
    if choose == "both_right" and right is not None:
        return both(right)
    named = {"same_length": same_length, "same_segments": same_segments, "other_label": other_label}
    return named[choose](examples) if choose in named else lambda base, source: base != source


def build_rows(recipe: Recipe, data: Data) -> Sequence[Batch]:
    """Batches of the held-out rows, without sources."""
    return build_batches(recipe, data.heldout, data.tokenizer)


def build_batches(recipe: Recipe, examples: Examples, tokenizer: PreTrainedTokenizerBase) -> Sequence[Batch]:
    """Batches of some examples, without sources, with the batch size and the seed of the verification."""
    return batches_of(recipe.data, examples, tokenizer, recipe.verification.batch_size, recipe.verification.seed)


def batches_of(
    part: DataPart, examples: Examples, tokenizer: PreTrainedTokenizerBase, size: int, seed: int = 0
) -> Sequence[Batch]:
    """Batches of `size` examples, without sources; `seed` draws the masks of a masked LM.

    A batch is made when it is read.
    """
    return build_collator(part, examples, tokenizer, None, seed).in_order(size)
