"""One training step of the release, run by the product's trainer, objectives and interchange."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainingArguments

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.data.token_mask import Tokens, counted_tokens
from causalkd.losses.hidden import squared_distance
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Objective, Requirements, StepContext, Weighted
from causalkd.objectives.counterfactual_terms import counterfactuals
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.trainer import DistillationTrainer
from tests.golden import reader


class LogitDistance:
    """The release's loss_mse, which causalkd offers as a loss and not as an objective."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def requirements(self) -> Requirements:
        return Requirements()

    def __call__(self, run: StepContext) -> Tensor:
        mask = counted_tokens("masked_lm", run.batch, self.tokens)
        return squared_distance(run.student_run.logits, run.teacher_outputs()[1].logits, mask)


class Recorded:
    """An objective whose last value and run can be looked at."""

    run: StepContext
    value: Tensor

    def __init__(self, objective: Objective) -> None:
        self._objective, self.requirements = objective, objective.requirements

    def __call__(self, run: StepContext) -> Tensor:
        self.run, self.value = run, self._objective(run)
        return self.value


class Step:
    """One training step of the release, run by the product's trainer and objectives."""

    def __init__(
        self, teacher: HookedModel, student: HookedModel, pair: ResolvedPair, settings: Mapping[str, Any], folder: Path
    ) -> None:
        aligned = ResolvedAlignment(reader.alignment((), ()), (pair,))
        temperature: float = settings["temperature"]
        tokens: Tokens = "labelled" if settings.get("restrict_ce_to_mask") else "all"
        chosen: dict[str, Objective] = {
            "ce": ResponseKD(temperature, tokens),
            "mlm": TaskLoss(),
            "mse": LogitDistance(tokens),
            "causal_ce": DIITO(aligned, teacher, student, temperature=temperature, tokens=tokens),
        }
        if teacher.width == student.width:
            chosen |= {"cos": HiddenKD(teacher, student), "causal_cos": DIITOHidden(aligned, teacher, student)}
        weights = {key.removeprefix("alpha_"): weight for key, weight in settings.items() if key.startswith("alpha_")}
        unknown = sorted(term for term, weight in weights.items() if weight and term not in chosen)
        assert not unknown, f"weights of unknown terms: {unknown}"
        self._recorded = {term: Recorded(objective) for term, objective in chosen.items()}
        arguments = TrainingArguments(str(folder), use_cpu=True, report_to=[])
        objectives = {term: Weighted(weights.get(term, 0.0), each) for term, each in self._recorded.items()}
        self._trainer = DistillationTrainer(student, objectives, teacher, args=arguments)
        self._teacher, self._student, self._pair = teacher, student, pair

    def run(self, batch: Batch) -> dict[str, Tensor]:
        """Everything a manifest may name; gradients of the total are added to the student's."""
        # Where outputs are returned, heads predict at every token, as the release's do.
        total, _ = self._trainer.compute_loss(self._student.model, dict(batch.tensors()), return_outputs=True)
        if total.requires_grad:  # not where every term has weight 0
            total.backward()
        terms = {re.sub("^(causal_)?", r"\1loss_", term): each.value for term, each in self._recorded.items()}
        run = self._recorded["ce"].run
        both = counterfactuals(run, self._pair)
        teacher_run = run.teacher_outputs()[1]
        outputs = {
            "teacher_logits": teacher_run.logits,
            "student_logits": run.student_run.logits,
            "teacher_cf_logits": both.teacher.logits,
            "student_cf_logits": both.student.logits,
        }
        hidden = self._hidden("teacher", self._teacher, self._pair.teacher, batch)
        hidden |= self._hidden("student", self._student, self._pair.student, batch)
        return {**terms, "total_loss": total, **outputs, **hidden}

    def _hidden(
        self, side: str, model: HookedModel, sites: tuple[ResolvedSite, ...], batch: Batch
    ) -> dict[str, Tensor]:
        """What enters the first block and leaves every block, of base, source and counterfactual."""
        assert batch.source is not None
        places = [
            model.hook_point("block_input", 0),
            *(model.hook_point("block_output", n) for n in range(model.n_layers)),
        ]
        with torch.no_grad():
            positions = batch.positions[reader.PAIR]
            runs = {
                f"{side}_hidden": model.run(batch.inputs, places),
                f"{side}_dual_hidden": model.run(batch.source, places),
                f"{side}_cf_hidden": interchange(model, sites, batch.inputs, batch.source, positions, places),
            }
        return {name: torch.stack([run.activations[hook_point] for hook_point in places]) for name, run in runs.items()}
