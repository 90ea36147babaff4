"""The checks before a DistillationTrainer's first step: settings without effect, a student that cannot be saved."""

import math
import tempfile
from collections.abc import Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import TrainingArguments

from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.errors import few, shown
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import takes_left_padding
from causalkd.objectives.base import TrainingSetup, Weighted
from causalkd.task_types import Task
from causalkd.training.sharding import sharding_faults

_OWN_LOSS = "the loss is the weighted sum of the objectives"
_NOT_MEASURED = (
    "the batches of an evaluation hold their labels out of the Trainer's sight, so it would never be called; use "
    "`causalkd.verification.measures.task_metrics.evaluate`"
)


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


def check_settings(
    args: TrainingArguments | None, given: Mapping[str, Any], student: HookedModel | None = None
) -> None:
    """Refuses settings of transformers' Trainer that have no effect here, or a wrong one.

    Args:
        args: The Trainer's arguments; None means its defaults.
        given: The other arguments that the Trainer is given, by name.
        student: The model that is trained with them.

    Raises:
        ValueError: There are such settings, or the student cannot be trained with them; the message lists all of them.
    """
    faults = [
        f"{name} was given, but {why}; leave it out"
        for name, why in (
            ("compute_loss_func", _OWN_LOSS),
            ("compute_metrics", _NOT_MEASURED),
            ("preprocess_logits_for_metrics", _NOT_MEASURED),
        )
        if given.get(name) is not None
    ]
    faults += _single_row_faults(args, given.get("data_collator"))
    faults += _epoch_faults(given.get("train_dataset"), given.get("eval_dataset"))
    faults += [] if args is None else _faults(args)
    recomputes = args is not None and args.activation_checkpointing
    if recomputes and student is not None and not student.model.supports_gradient_checkpointing:
        faults.append(
            f"the blocks of a {student.architecture} cannot be computed twice; leave activation_checkpointing out"
        )
    if faults:
        raise ValueError("\n".join(faults))


def _single_row_faults(args: TrainingArguments | None, collator: object) -> list[str]:
    """Refuses batches of one row where sources are to be other rows of the batch."""
    paired = isinstance(collator, PairingCollator) and collator.policies and collator.sources == "batch"
    if args is None or args.per_device_train_batch_size > 1 or not paired:
        return []
    return [
        "a batch of one row was asked for, but sources come from the other rows of the batch; use a larger batch size, "
        "or draw sources from the data set (sources='dataset')"
    ]


def _epoch_faults(train: object, evaluated: object) -> list[str]:
    """Refuses one `ExampleSet` for both: an evaluation would set the epoch back that the training's draws depend on."""
    several = evaluated.values() if isinstance(evaluated, Mapping) else [evaluated]
    if isinstance(train, ExampleSet) and any(each is train for each in several):
        return [
            "train_dataset and eval_dataset are the same object, and an evaluation resets its epoch; give the "
            "same examples twice, each time as ExampleSet(examples)"
        ]
    return []


def reads_twice(given: Mapping[str, Any]) -> bool:
    """Whether a Trainer with these arguments has batches in the tokens of two tokenizers."""
    collator = given.get("data_collator")
    return isinstance(collator, PairingCollator) and collator.student_pad_id is not None


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


def _faults(args: TrainingArguments) -> list[str]:
    faults = sharding_faults(args)
    if args.n_gpu > 1:
        faults.append(
            f"one process sees {args.n_gpu} accelerators and would split each batch between copies of the model, "
            "which hooks cannot follow; start one process each (torchrun), or show it one (CUDA_VISIBLE_DEVICES=0)"
        )
    if args.torch_compile:
        faults.append(
            "torch_compile compiles the model as a whole, which leaves out hooks; turn it off and compile whole "
            "blocks in the model's list: blocks[i] = torch.compile(blocks[i])"
        )
    if args.label_smoothing_factor:
        faults.append(
            f"label_smoothing_factor is {args.label_smoothing_factor}, but {_OWN_LOSS}, none of which smooths labels; "
            "set it to 0, or give the objective `response_kd` weight, whose targets are soft"
        )
    if args.use_liger_kernel:
        faults.append(
            "use_liger_kernel puts in forwards that compute their own loss and no logits, which objectives need; turn "
            "it off"
        )
    if args.include_num_input_tokens_seen != "no":
        faults.append(
            f"include_num_input_tokens_seen is {args.include_num_input_tokens_seen!r}, but the Trainer finds no tokens "
            "to count in these batches; leave it out"
        )
    if args.train_sampling_strategy == "batch_rebalance":
        faults.append(
            "train_sampling_strategy is 'batch_rebalance', whose order is the same for every seed, and is another one "
            "where several processes continue a training; take 'random' or 'group_by_length'"
        )
    if not getattr(args.accelerator_config, "use_seedable_sampler", True):
        faults.append(
            "use_seedable_sampler of accelerator_config is False, and a training that is continued would read some "
            "rows twice and others never; leave it out"
        )
    return faults
