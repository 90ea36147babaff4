"""The settings of transformers' Trainer that a DistillationTrainer refuses: they have no effect, or a wrong one."""

from collections.abc import Mapping
from typing import Any

from accelerate.utils import parse_flag_from_env
from torch.utils.data import IterableDataset
from transformers import TrainingArguments

from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.callbacks import examples_of
from causalkd.training.sharding import sharding_faults

_OWN_LOSS = "the loss is the weighted sum of the objectives"
_NOT_MEASURED = (
    "the batches of an evaluation hold their labels out of the Trainer's sight, so it would never be called; use "
    "`causalkd.verification.measures.task_metrics.evaluate`"
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
    faults += _collator_faults(given)
    faults += _single_row_faults(args, given.get("data_collator"))
    faults += _numbering_faults(given.get("train_dataset"), given.get("data_collator"))
    faults += _epoch_faults(given.get("train_dataset"), given.get("eval_dataset"))
    if args is not None:
        faults += [*sharding_faults(args), *_without_effect(args), *_of_models(args), *_of_rows(args)]
    recomputes = args is not None and args.activation_checkpointing
    if recomputes and student is not None and not student.model.supports_gradient_checkpointing:
        faults.append(
            f"the blocks of a {student.architecture} cannot be computed twice; leave activation_checkpointing out"
        )
    if faults:
        raise ValueError("\n".join(faults))


def reads_twice(given: Mapping[str, Any]) -> bool:
    """Whether a Trainer with these arguments has batches in the tokens of two tokenizers."""
    collator = given.get("data_collator")
    return isinstance(collator, PairingCollator) and collator.student_pad_id is not None


def _collator_faults(given: Mapping[str, Any]) -> list[str]:
    """Refuses transformers' own collators, whose batches no objective can read; without one the Trainer takes one."""
    collator = given.get("data_collator")
    if collator is None:
        has_rows = given.get("train_dataset") is not None or given.get("eval_dataset") is not None
        what = "no data_collator was given, and the Trainer's own makes" if has_rows else None
    else:
        name = getattr(collator, "__name__", type(collator).__name__)
        theirs = str(getattr(collator, "__module__", "")).startswith("transformers.")
        what = f"data_collator is {name}, which makes" if theirs else None
    if what is None:
        return []
    return [
        f"{what} batches without sources, positions and numbers of rows; give PairingCollator(examples, "
        "alignment.policies(), pad_id), or {} as its policies if nothing is intervened on"
    ]


def _single_row_faults(args: TrainingArguments | None, collator: object) -> list[str]:
    """Refuses batches of one row where sources are to be other rows of the batch."""
    paired = isinstance(collator, PairingCollator) and collator.policies and collator.sources == "batch"
    if args is None or args.per_device_train_batch_size > 1 or not paired:
        return []
    return [
        "a batch of one row was asked for, but sources come from the other rows of the batch; use a larger batch size, "
        "or draw sources from the data set (sources='dataset')"
    ]


def _numbering_faults(train: Any, collator: object) -> list[str]:
    """Refuses numbered rows of anything that is not told the epoch, and in which two rows may have one number."""
    if train is None or examples_of(train) is not None:
        return []
    first = None if isinstance(train, IterableDataset) else next(iter(train), None)
    numbered = isinstance(first, Mapping) and "epoch" in first
    if not numbered and not isinstance(collator, PairingCollator):
        return []
    return [
        f"train_dataset is a {type(train).__name__}. Sources, positions and masks are drawn by the number of a row and "
        "the epoch, which its rows do not have, or which repeat in it. Give the trainer ExampleSet(examples), with the "
        "examples the collator was made with, or a torch.utils.data.Subset of that"
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


def _without_effect(args: TrainingArguments) -> list[str]:
    """Settings that would change nothing, or that end an evaluation."""
    faults = []
    if args.label_smoothing_factor:
        faults.append(
            f"label_smoothing_factor is {args.label_smoothing_factor}, but {_OWN_LOSS}, none of which smooths labels; "
            "set it to 0, or give the objective `response_kd` weight, whose targets are soft"
        )
    if args.include_num_input_tokens_seen != "no":
        faults.append(
            f"include_num_input_tokens_seen is {args.include_num_input_tokens_seen!r}, but the Trainer finds no tokens "
            "to count in these batches; leave it out"
        )
    if args.include_for_metrics:
        faults.append(
            f"include_for_metrics is {args.include_for_metrics}, but it is for compute_metrics, which is never called "
            "here, and the Trainer does not find the inputs of these batches; leave it out"
        )
    if args.mixed_precision == "fp16" and args.device.type == "cpu":
        faults.append(
            "fp16 was asked for, but the training is on a processor, where accelerate trains in float32 all the same; "
            "leave it out, or take bf16"
        )
    return faults


def _of_models(args: TrainingArguments) -> list[str]:
    """Settings that change the models so that hooks miss something, or weights are lost."""
    faults = []
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
    if args.use_liger_kernel:
        faults.append(
            "use_liger_kernel puts in forwards that compute their own loss and no logits, which objectives need; turn "
            "it off"
        )
    if args.deepspeed or parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        faults.append(
            "DeepSpeed was asked for, with which hooks and what objectives learn were never tested; train in processes "
            "that each hold the whole student (torchrun), or with FSDP of version 2"
        )
    if args.parallelism_config is not None and args.parallelism_config.total_size > 1:
        faults.append(
            "parallelism_config spreads the activations of a row over processes, and hooks need them whole; leave it "
            "out: processes that torchrun starts share the rows"
        )
    if half := [name for name in ("fp16_full_eval", "bf16_full_eval") if getattr(args, name)]:
        faults.append(
            f"{half[0]} is True, but an evaluation after the training would round the student's own weights, which "
            "are then saved so; leave it out"
        )
    return faults


def _of_rows(args: TrainingArguments) -> list[str]:
    """Settings with which a training would read some rows twice, or others than it would read again."""
    faults = []
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
    if not args.dataloader_in_order and args.dataloader_num_workers > 1:
        faults.append(
            "dataloader_in_order is False, so the order of the batches would depend on how fast each is made, and a "
            "training that is continued would read some rows twice and others never; leave it out"
        )
    if args.auto_find_batch_size:
        faults.append(
            "auto_find_batch_size is True, but when memory runs out the training begins again with the weights that "
            "its first steps have changed; leave it out, and set per_device_train_batch_size to what fits"
        )
    return faults
