"""Settings of transformers' Trainer that are refused before the first step, and those that are not."""

import copy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset
from transformers import DataCollatorWithPadding, TrainingArguments, default_data_collator

from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import TaskLoss
from causalkd.training.trainer import DistillationTrainer
from causalkd.training.trainer_settings import check_settings
from tests.architectures.zoo import tiny_of
from tests.tiny import PAD
from tests.training.small import ALIGNMENT, examples, models, trainer


def test_settings_without_effect_are_refused_all_at_once(tmp_path: Path) -> None:
    args = TrainingArguments(
        output_dir=str(tmp_path),
        label_smoothing_factor=0.2,
        include_num_input_tokens_seen="all",
        train_sampling_strategy="batch_rebalance",
        accelerator_config={"use_seedable_sampler": False},
        use_cpu=True,
    )
    with pytest.raises(ValueError) as caught:
        check_settings(args, {"compute_metrics": len, "compute_loss_func": len, "callbacks": []})
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and "label_smoothing_factor is 0.2, but the loss is the weighted sum" in str(caught.value)
    assert lines[0] == "compute_loss_func was given, but the loss is the weighted sum of the objectives; leave it out"
    check_settings(TrainingArguments(output_dir=str(tmp_path), use_cpu=True), {"callbacks": []})
    check_settings(None, {})


def test_one_set_of_examples_for_training_and_evaluation_is_refused() -> None:
    """Each evaluation set its epoch to 0, and what was drawn for the rest of the training's epoch with it."""
    one, other = ExampleSet(examples()), ExampleSet(examples())
    collator = PairingCollator(examples(), {}, PAD)
    for evaluated in (one, {"again": one}):
        with pytest.raises(ValueError, match="train_dataset and eval_dataset are the same object"):
            check_settings(None, {"train_dataset": one, "eval_dataset": evaluated, "data_collator": collator})
    check_settings(None, {"train_dataset": one, "eval_dataset": {"other": other}, "data_collator": collator})
    check_settings(None, {"train_dataset": one, "data_collator": collator})


def test_blocks_that_cannot_be_computed_twice_are_refused_before_training(tmp_path: Path) -> None:
    """Found by the Trainer's first step alone, after a recipe's teacher was trained."""
    student = HookedModel(tiny_of("albert", "classification"), task="classification", role="student")
    for activation_checkpointing in (False, True):
        args = TrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, report_to="none", activation_checkpointing=activation_checkpointing
        )
        if not activation_checkpointing:
            DistillationTrainer(student, {"task": Weighted(1.0, TaskLoss())}, args=args)
            continue
        with pytest.raises(ValueError, match="blocks of a AlbertForSequenceClassification cannot be computed twice; l"):
            DistillationTrainer(student, {"task": Weighted(1.0, TaskLoss())}, args=args)


def test_the_trainer_checks_its_settings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing_factor is 0\.2"):
        trainer(tmp_path, models(), label_smoothing_factor=0.2)


class _Forwarded(Dataset[dict[str, Any]]):
    """A user's own data set around an `ExampleSet`."""

    def __init__(self, inside: ExampleSet) -> None:
        self._inside = inside

    def __len__(self) -> int:
        return len(self._inside)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self._inside[number]


class _Streamed(IterableDataset[dict[str, Any]]):
    """The rows of an `ExampleSet`, one after the other."""

    def __init__(self, inside: ExampleSet) -> None:
        self._inside = inside

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._inside)


def _two() -> ConcatDataset[dict[str, Any]]:
    return ConcatDataset([ExampleSet(examples()[:12]), ExampleSet(examples()[12:])])


@pytest.mark.parametrize(
    "data",
    [_two(), Subset(_two(), [0, 20]), _Forwarded(ExampleSet(examples())), _Streamed(ExampleSet(examples())), [{}]],
)
def test_rows_that_are_not_told_the_epoch_are_refused(data: Any) -> None:
    """Before, every epoch had the draws of the first one, and rows of two parts shared a number and so their draws."""
    collator = PairingCollator(examples(), ALIGNMENT.policies(), PAD)
    with pytest.raises(
        ValueError, match=r"train_dataset is a \w+\. Sources, .* Give the trainer ExampleSet\(examples\)"
    ):
        check_settings(None, {"train_dataset": data, "data_collator": collator})


def test_numbered_rows_are_refused_behind_a_collator_of_the_users_own_too() -> None:
    with pytest.raises(ValueError, match="train_dataset is a ConcatDataset"):
        check_settings(None, {"train_dataset": _two(), "data_collator": len})
    for own in ([{}] * 8, [], _Streamed(ExampleSet(examples()))):
        check_settings(None, {"train_dataset": own, "data_collator": len})


def test_parts_of_one_set_of_examples_are_trained_on() -> None:
    whole = ExampleSet(examples())
    collator = PairingCollator(examples(), ALIGNMENT.policies(), PAD)
    for data in (whole, Subset(whole, range(16)), Subset(Subset(whole, range(16)), range(8))):
        check_settings(None, {"train_dataset": data, "data_collator": collator})


@pytest.mark.parametrize("collator", [None, default_data_collator, DataCollatorWithPadding(SimpleNamespace())])
def test_the_trainers_own_collators_are_refused_by_name(collator: Any) -> None:
    """Before, the collator failed at the first batch, and advised to shorten `segments`."""
    with pytest.raises(
        ValueError, match=r"(DataColl|default_data_c|no data_c).* without sources.*give PairingCollator\("
    ):
        check_settings(None, {"train_dataset": ExampleSet(examples()), "data_collator": collator})
    check_settings(None, {"data_collator": None})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"include_for_metrics": ["inputs"]}, r"include_for_metrics is \['inputs'\], but it is for compute_metrics"),
        ({"fp16": True}, "fp16 was asked for, but .* accelerate trains in float32 all the same"),
        (
            {"bf16_full_eval": True},
            "bf16_full_eval is True, but an evaluation .* would round the student's own weights",
        ),
        ({"dataloader_in_order": False, "dataloader_num_workers": 2}, "dataloader_in_order is False"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size is True, but .* the training begins again with the wei"),
    ],
)
def test_a_setting_that_is_not_applied_or_does_harm_is_refused(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        check_settings(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **given), {})


def test_ways_to_spread_a_model_that_were_never_tested_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    for name, value, said in (
        ("deepspeed", {"zero_optimization": {"stage": 2}}, "DeepSpeed was asked for"),
        ("parallelism_config", SimpleNamespace(total_size=2), "parallelism_config spreads the activations"),
    ):
        changed = copy.copy(args)
        setattr(changed, name, value)
        with pytest.raises(ValueError, match=said):
            check_settings(changed, {})
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match="DeepSpeed was asked for"):
        check_settings(args, {})


@pytest.mark.parametrize(
    "given",
    [
        {"dataloader_in_order": False},
        {"label_names": ["labels"]},
        {"bf16": True},
        {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 1},
        {"accelerator_config": {"split_batches": True}},
        {"torch_empty_cache_steps": 2},
    ],
)
def test_settings_that_do_no_harm_are_taken(given: dict[str, Any], tmp_path: Path) -> None:
    check_settings(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **given), {})
