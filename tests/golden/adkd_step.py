"""One training step of AD-KD's release, run by the product's trainer and objectives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import TrainingArguments

from causalkd.attribution.targets import Target
from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import StepContext, Weighted
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.objectives.teacher_map import StudentAttributions
from causalkd.task_types import Task
from causalkd.training.trainer import DistillationTrainer
from tests.golden import reader
from tests.golden.step import Recorded

DISTANCES = {"L1": "l1", "L2": "l2", "smoothL1": "smooth_l1"}


def models(name: str) -> tuple[HookedModel, HookedModel]:
    """The teacher and the student that a file of models describes, in float64, in the release's modes."""
    return _load(name, "teacher"), _load(name, "student")


def _load(name: str, role: Role) -> HookedModel:
    described, weights = reader.manifest(name), reader.tensors(name)
    labels = described["num_labels"]
    config = transformers.BertConfig(**described[f"{role}_config"], num_labels=labels)
    stock = transformers.BertForSequenceClassification(config).double()
    own = {key.removeprefix(f"{role}."): value for key, value in weights.items() if key.startswith(f"{role}.")}
    lacking = stock.load_state_dict({key: value.double() for key, value in own.items()}, strict=False)
    assert not lacking.unexpected_keys and set(lacking.missing_keys) <= {"bert.embeddings.position_ids"}
    stock.train(role == "student")
    task: Task = "regression" if labels == 1 else "classification"
    return HookedModel(stock, task=task, role=role)


def batch_of(given: Mapping[str, Tensor], task: Task) -> Batch:
    inputs = {key: given[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    labels = given["labels"]
    return Batch(inputs, labels.double() if task == "regression" else labels.long())


def adkd(
    pair: tuple[HookedModel, HookedModel],
    settings: Mapping[str, Any],
    views: StudentAttributions,
    steps: int,
    target: Target = "loss",
) -> ADKD:
    """The objective of the release's settings."""
    return ADKD(
        *pair,
        views=views,
        target=target,
        steps=steps,
        top_k=min(settings["topk"], pair[0].width),
        distance=DISTANCES[settings["loss_func"]],  # type: ignore[arg-type]
        norm=settings["normalization_type"],
    )


class AdkdStep:
    """The weighted sum of the release's terms for one batch, its terms and its maps."""

    def __init__(self, pair: tuple[HookedModel, HookedModel], described: dict[str, Any], folder: Path) -> None:
        settings, kind = described["hyperparameters"], described["hyperparameters"]["distill_loss"].split("+")
        known = {"kd", "kd_anneal", "saliency", "integrated_saliency"}
        assert set(kind) <= known, f"unknown terms {kind}"
        mixed = any(each.startswith("kd") for each in kind)
        alpha = settings["alpha"] if mixed else 0.0
        self.objectives: dict[str, Weighted] = {"ce": Weighted(1 - alpha, Recorded(TaskLoss()))}
        if mixed:
            kd = ResponseKD(settings["temperature"], scale_by_t2=False, anneal_temperature="kd_anneal" in kind)
            self.objectives["kd"] = Weighted(alpha, Recorded(kd))
            self.temperature = kd.temperature_at(described["epoch"], int(settings["num_train_epochs"]))
        if any("saliency" in each for each in kind):
            steps = settings["ig_steps"] if "integrated_saliency" in kind else 1
            self.adkd = adkd(pair, settings, "all" if described["task_name"] == "mnli" else "label", steps)
            self.objectives["adkd"] = Weighted(settings["saliency_w"], Recorded(self.adkd))
        arguments = TrainingArguments(str(folder), use_cpu=True, report_to=[])
        self._trainer = DistillationTrainer(pair[1], self.objectives, pair[0], args=arguments)
        self._trainer.state.epoch = described["epoch"]
        self._trainer.state.num_train_epochs = int(settings["num_train_epochs"])

    def total(self, batch: Batch) -> Tensor:
        """The product's loss; the release's is greater by α times the teacher's entropy."""
        return self._trainer.compute_loss(self._trainer.student.model, dict(batch.tensors()))

    def term(self, name: str) -> Tensor:
        recorded = self.objectives[name].objective
        assert isinstance(recorded, Recorded)
        return recorded.value

    @property
    def run(self) -> StepContext:
        recorded = self.objectives["ce"].objective
        assert isinstance(recorded, Recorded)
        return recorded.run

    def entropy(self) -> Tensor:
        """What L_kd of the release has on top: 0 for regression."""
        taught = self.run.teacher_outputs()[1].logits
        if self.run.student.task == "regression" or "kd" not in self.objectives:
            return torch.zeros((), dtype=torch.float64)
        p = (taught / self.temperature).softmax(-1)
        return -(p * p.log()).sum(-1).mean()
