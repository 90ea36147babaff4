"""A trial of everything that a run needs on two rows, so that faults show before it begins."""

import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch, row_of
from causalkd.data.pairs.collator import ExampleSet
from causalkd.errors import nearest
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart, TrainingPart
from causalkd.runs.folder.stages import MODEL, TEACHER
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.prepare import build_alignment, build_pairs, build_student, build_teacher
from causalkd.runs.setup.prepared import Prepared, prepare
from causalkd.runs.setup.trainer import build_trainer, task_only
from causalkd.training.trainer import DistillationTrainer


def preflight(recipe: Recipe) -> tuple[Prepared, Alignment]:
    """Build everything that a recipe names, untrained, and compute every student's loss on two rows.

    Leaves no files behind. Returns the data and the teacher, so that the training and the verification use the same
    objects that were checked, and the alignment for the students' depth.

    Raises:
        ValueError: The recipe, the data and the models do not fit together.
    """
    prepared = prepare(recipe)
    data, teacher = prepared.data, prepared.teacher
    _check_rows(recipe.data, data, teacher)
    _check_tolerance(recipe, data, teacher)
    if prepared.learner is not None:
        try:
            _rehearse_alone(recipe, recipe.teacher, data.in_teachers_tokens(), prepared.learner, TEACHER)
        except ValueError as error:
            raise ValueError(f"teacher: {error}") from error
    alignments, faults = [], []
    for part in recipe.students:
        try:
            alignments.append(_rehearse_student(recipe, part, data, teacher))
        except ValueError as error:
            faults.append(f"student {part.name!r}: {error}")
    if faults:
        raise ValueError("\n".join(faults))
    if any(alignment != alignments[0] for alignment in alignments):
        raise ValueError(
            f"the preset alignment {recipe.alignment!r} selects different layers for students of different depths; "
            "give them the same depth, or make one run for each"
        )
    _check_positions(alignments[0], build_pairs(recipe, data, alignments[0]))
    return prepared, alignments[0]


def _check_tolerance(recipe: Recipe, data: Data, teacher: HookedModel) -> None:
    """Refuses a tolerance so large that numbers as far apart as the labels would count as one prediction."""
    if teacher.task != "regression":
        return
    labels = [float(example["label"]) for example in data.heldout.examples]
    low, high, tolerance = min(labels), max(labels), recipe.verification.tolerance
    if low < high <= low + 2 * tolerance:
        raise ValueError(
            f"verification.tolerance is {tolerance:g}: numbers whose difference is at most this count as one "
            f"prediction. The held-out labels lie between {low:g} and {high:g}, so one constant would equal them all; "
            f"give a smaller tolerance, such as {(high - low) / 10:.2g}"
        )


def preflight_finetuning(recipe: FinetuneRecipe) -> Data:
    """Builds everything that a fine-tuning's recipe names, untrained, and computes the loss on two rows.

    Leaves no files behind.

    Raises:
        ValueError: The recipe, the data and the model do not fit together.
    """
    part = recipe.learner(recipe.seeds[0])
    try:
        data = build_data(recipe.data, part)
        learner = build_teacher(part, data, "student")
        _check_rows(recipe.data, data, learner)
        _rehearse_alone(recipe, part, data, learner, MODEL)
    except ValueError as error:
        # The model is built as a teacher that is trained first, whose keys are below `teacher` in a recipe.
        raise ValueError(
            str(error).replace("teacher.model:", "model:").replace("teacher.config:", "config:")
        ) from error
    return data


def _rehearse_alone(
    recipe: Recipe | FinetuneRecipe, part: TeacherPart, data: Data, learner: HookedModel, name: str
) -> None:
    """Tries a step of a model that is trained on its task alone."""
    assert part.training is not None
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            recipe, part.training, data, learner, task_only(), teacher=None, alignment=None,
            name=name, seed=part.seed, folder=Path(folder) / name, metrics=Path(folder) / "metrics.jsonl",
        )  # fmt: skip
        try_a_step(trainer)


def _rehearse_student(recipe: Recipe, part: StudentPart, data: Data, teacher: HookedModel) -> Alignment:
    """Tries a step of a student; its alignment, for the student's depth."""
    seed = recipe.seeds[0]
    student = build_student(part, teacher, data, seed)
    check_pair(teacher, student, same_tokens=data.student_tokenizer is None)
    _check_rows(recipe.data, data, student)
    alignment = build_alignment(recipe.alignment, teacher, student)
    _check_segments(recipe, data, alignment)
    objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
    training = _surely_written(recipe.training_of(part))
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            recipe, training, data, student, objectives, teacher=teacher, alignment=alignment,
            name=part.name, seed=seed, folder=Path(folder) / "student", metrics=Path(folder) / "metrics.jsonl",
        )  # fmt: skip
        try_a_step(trainer)
    return alignment


def _surely_written(training: TrainingPart) -> TrainingPart:
    """The training with responses written in every batch if they may be written at all, so that they are tried too."""
    if training.sequences is None:
        return training
    return training.model_copy(update={"sequences": training.sequences.model_copy(update={"share": 1.0})})


def try_a_step(trainer: DistillationTrainer) -> None:
    """Computes the loss of two rows.

    Raises:
        ValueError: No batch would be full, or the loss is not finite.
    """
    examples, size = trainer.train_dataset, trainer.args.per_device_train_batch_size
    assert isinstance(examples, ExampleSet)
    if size > len(examples):
        raise ValueError(
            f"batch_size is {size}, but there are {len(examples)} training examples, so no batch would be full; "
            f"set batch_size to {len(examples)} or less, or allow more examples (data.train_limit)"
        )
    rows = trainer.data_collator([examples[number] for number in range(min(size, 2))])
    with torch.random.fork_rng(), torch.no_grad():
        trainer.student.model.train()
        (batch,), _ = trainer.get_batch_samples(iter([rows]), 1, trainer.args.device)
        loss = trainer.compute_loss(trainer.student.model, trainer._prepare_inputs(batch))
    _check_is_number(trainer, loss)


def _check_is_number(trainer: DistillationTrainer, loss: Tensor) -> None:
    """Refuses a loss that is not a number at the first step; otherwise a teacher would be trained first."""
    if loss.isfinite():
        return
    terms = ", ".join(
        f"{name} is {trainer.terms_so_far[name]:.3g}, of weight {weighted.weight:g}"
        for name, weighted in trainer.objectives.items()
    )
    raise ValueError(
        f"the loss of the first rows is {loss.item()}, which cannot be minimised ({terms}); choose moderate "
        "weights and temperatures, and see that the checkpoints' weights are finite"
    )


def _check_rows(part: DataPart, data: Data, model: HookedModel) -> None:
    """Refuses rows that are too long for the model, and token ids and token types without an embedding."""
    longest, highest, kind, room = 0, 0, 0, most_tokens(model.model)
    for example in chain(data.train.examples, data.heldout.examples):
        row = row_of(example, model.role)
        longest, highest = max(longest, len(row["input_ids"])), max(highest, max(row["input_ids"]))
        kind = max(kind, max(row.get("token_type_ids", ()), default=0))
    if model.task == "masked_lm":  # masking inserts any token
        highest = max(highest, len(data.tokenizer) - 1)
    if (part.max_length or 0) > room:
        raise ValueError(
            f"data.max_length is {part.max_length}, but {model} has {room} positions; set it to {room} or less"
        )
    if longest > room:
        raise ValueError(
            f"the longest row has {longest} tokens, but {model} has {room} positions; "
            f"set data.max_length to {room} or less, or use a model with more"
        )
    if highest >= model.vocabulary:
        raise ValueError(
            f"the data hold the token id {highest}, but {model} has a vocabulary of {model.vocabulary} entries; "
            "use the model's own tokenizer, or a model whose vocabulary is as large"
        )
    known = model.model.config.to_dict().get("type_vocab_size")
    if known and kind >= known:  # a model without token types, such as DeBERTa-v3, reads none
        raise ValueError(
            f"the data hold the token type {kind}, but {model} has {known}, counted from 0; "
            "use the model's own tokenizer, or a model with as many"
        )


def _check_segments(recipe: Recipe, data: Data, alignment: Alignment) -> None:
    """Refuses a segment name that no row has; collators report single rows that lack it."""
    known = {name for split in (data.train, data.heldout) for row in split.examples for name in row.get("segments", {})}
    named = dict.fromkeys(name for policy in alignment.policies().values() for name in policy.segments)
    faults = [
        f"no row of task {recipe.data.data_name!r} has a segment {name!r}; {nearest(name, sorted(known))}"
        for name in named
        if name not in known
    ]
    if faults:
        raise ValueError("\n".join(faults))


def _check_positions(alignment: Alignment, pairs: Sequence[Batch]) -> None:
    """Refuses site pairs that select no position: they would train nothing, and their accuracy would be perfect."""
    policies = alignment.policies()
    twice = "; with two tokenizers only parts of a text count that both models read, in as many tokens as in source"
    reason = "" if pairs[0].student is None else twice
    faults = [
        f"the positions of {name!r} ({policies[name].model_dump(exclude_defaults=True)}) select no token in any of the "
        f"held-out pairs, so there would be no intervention; raise `fraction`, or use a policy such as `all`{reason}"
        for name in policies
        if not any(batch.positions[name].valid.any() for batch in pairs)
    ]
    if faults:
        raise ValueError("\n".join(faults))
