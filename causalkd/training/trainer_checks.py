"""The checks of models and objectives before a DistillationTrainer's first step, and of what it could not save."""

import math
import tempfile
from collections.abc import Mapping

from huggingface_hub.errors import StrictDataclassError
from transformers import TrainingArguments

from causalkd.data.pairs.collator import PairingCollator
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.errors import few, shown
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import takes_left_padding
from causalkd.objectives.base import TrainingSetup, Weighted
from causalkd.task_types import Task


def check_given(
    student: HookedModel, objectives: Mapping[str, Weighted], teacher: HookedModel | None, collator: object = None
) -> None:
    """Refuses models that cannot be trained or learned from, and values that are not objectives.

    Args:
        student: The model to train.
        objectives: Name → weight and objective.
        teacher: The frozen model, if any.
        collator: The collator of the batches.

    Raises:
        ValueError: One of them is of another kind; the message says what to give.
    """
    for name, model, role in (("student", student, "student"), ("teacher", teacher, "teacher")):
        if model is not None and not isinstance(model, HookedModel):
            raise ValueError(f"the {name} is a {type(model).__name__}; give HookedModel(model, task=…, role='{role}')")
    if not objectives:
        raise ValueError("there is nothing to train on: name at least one objective, such as `task` or `response_kd`")
    for name, given in objectives.items():
        if not isinstance(given, Weighted) or not hasattr(given.objective, "requirements"):
            raise ValueError(
                f"the objective {name} is {shown(given)}; give Weighted(weight, objective), whose objective has the "
                "method `requirements`"
            )
        if not isinstance(given.weight, int | float) or not math.isfinite(given.weight):
            raise ValueError(f"the weight of {name} is {given.weight!r}; give a finite number")
    if student.role != "student":
        raise ValueError("the model to train was loaded as a teacher, which is frozen; load it with role='student'")
    if teacher is not None and teacher.role != "teacher":
        raise ValueError("the teacher was loaded as a student, which is not frozen; load it with role='teacher'")
    _check_weights(student, teacher)
    for model in (student, teacher) if isinstance(collator, PairingCollator) and collator.side == "left" else ():
        if model is not None and not takes_left_padding(model.model, decodes=model.decodes):
            raise ValueError(f"the collator pads on the left, which changes what {model!r} reads; give side='right'")


def _check_weights(student: HookedModel, teacher: HookedModel | None) -> None:
    """Refuses a student without trained weights, or one that shares trained weights with its teacher."""
    trained = {name: each for name, each in student.model.named_parameters() if each.requires_grad}
    if not trained:
        raise ValueError(
            "every weight of the student is frozen (requires_grad is False), so there is nothing to train. A model "
            "that is also a teacher is frozen, and so is a plain copy of it: make the student of "
            "copy.deepcopy(stock).requires_grad_(True), or by student_from_teacher(teacher, every=1)"
        )
    if teacher is None:
        return
    frozen = {each.data_ptr() for each in teacher.model.parameters()} - {0}
    shared = [name for name, each in trained.items() if each.data_ptr() in frozen]
    if shared:
        raise ValueError(
            f"student and teacher share {few(shared, 3)}, so training the student would change its teacher; give the "
            "student a copy, or freeze what they share (requires_grad_(False))"
        )


def check_objectives(objectives: Mapping[str, Weighted], setup: TrainingSetup, task: Task, *, sharded: bool) -> None:
    """Refuses objectives that cannot be trained in a setup.

    Args:
        objectives: All objectives of a training.
        setup: Facts about the training.
        task: The task of both models.
        sharded: Whether FSDP spreads the student's weights over processes.

    Raises:
        ValueError: Lists every objective that cannot be trained so.
    """
    required = {name: each.objective.requirements() for name, each in objectives.items()}
    faults = [fault for each in required.values() if (fault := each.refusal(setup)) is not None]
    faults += [
        f"{name} differentiates the student twice, and FSDP takes its parameters away after the first time; train in "
        f"processes that each hold the whole student (DDP), or leave {name} out"
        for name, each in required.items()
        if sharded and each.second_order
    ]
    faults += [
        f"{name} compares the models token by token, or does not say that it compares predictions alone "
        "(`Requirements.two_tokenizers`), and with different tokenizers tokens do not correspond; leave it out: "
        "`response_kd`, `dkd`, `atkd` and `diito` compare predictions"
        for name, each in required.items()
        if setup.two_tokenizers and not each.two_tokenizers
    ]
    faults += [
        f"{name} compares predictions at all tokens, and models of different tokenizers share only the labelled ones, "
        "of which each word has one; set its `tokens` to 'labelled'"
        for name, each in required.items()
        if setup.two_tokenizers and task in TOKEN_TASKS and each.logits == "all"
    ]
    if faults:
        raise ValueError("\n".join(faults))


def check_compiled(
    objectives: Mapping[str, Weighted], args: TrainingArguments, *, sharded: bool, on_policy: bool
) -> None:
    """Refuses settings that are not known to be right with compiled blocks.

    Args:
        objectives: All objectives of a training.
        args: The Trainer's arguments.
        sharded: Whether FSDP spreads the student's weights over processes.
        on_policy: Whether responses are written during training.

    Raises:
        ValueError: Lists every reason.
    """
    faults = []
    for name, each in objectives.items():
        required = each.objective.requirements()
        inside = [point.name for point in required.student if point.is_inside]
        if required.second_order:
            faults.append(f"{name} differentiates the student twice, and torch compiles no second derivative")
        if inside:
            faults.append(f"{name} hooks into {inside[0]}, inside a block, which compiled code would leave out")
    if args.activation_checkpointing:
        faults.append("blocks that are computed twice (activation_checkpointing) were not tested compiled")
    if sharded:
        faults.append("FSDP's hooks inside blocks would be left out")
    if on_policy:
        faults.append("writing responses with compiled blocks was not tested")
    if faults:
        raise ValueError("compile_blocks cannot be used here; leave it out:\n" + "\n".join(faults))


def check_saving(student: HookedModel) -> None:
    """Writes all of a checkpoint except the weights into a temporary folder.

    Raises:
        ValueError: transformers refuses to write it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            student.model.config.save_pretrained(folder)
            if student.model.can_generate() and student.model.generation_config is not None:
                student.model.generation_config.save_pretrained(folder)
            if student.tokenizer is not None:
                student.tokenizer.save_pretrained(folder)
        except (OSError, TypeError, ValueError, StrictDataclassError) as error:
            raise ValueError(
                f"{student} could be trained but not saved: {error}\nCorrect the settings of its checkpoint "
                "(generation_config.json, config.json) or of its tokenizer first"
            ) from error
