"""ATKD: easy tokens train only the diversity term, hard ones both (Zhong et al. 2024, arXiv 2402.11890); and DKD."""

import math
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.errors import check_choice
from causalkd.losses.chunked import check_temperature
from causalkd.losses.decoupled import atkd_rows, dkd_rows, hard_tokens
from causalkd.losses.fused import RowLoss
from causalkd.losses.gold_odds import TeacherOdds
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.base import Requirements, StepContext, TrainingSetup
from causalkd.objectives.labelled import Gold, gold_of, how_many_labelled, of_sequences
from causalkd.objectives.micro_batches import MicroBatches
from causalkd.objectives.running_quantile import RunningQuantile

Split = Literal["batch", "sequence", "running"]


class ATKD(nn.Module):
    """λ · mean over easy tokens of DKD + (1 − λ) · mean over hard tokens of (TKD + DKD), on base.

    A labelled token is hard if the teacher's uncertainty reaches its lower median. Costs no further forward, but one
    more pass of the losses over the teacher's logits. With sequences that the student wrote it is the paper's
    ATKD + GKD or ImitKD; with `reverse`, ATKD + reverse KD.

    With `split="batch"` and gradient accumulation, the quantile and the means are over the micro-batch, as in the
    release; with several processes, over their micro-batches together. The other splits do not depend on it (`running`
    from the second step on: the first has no past), and both means are over the tokens of the whole step; to count
    those, the teacher runs twice, and a teacher cache may not shorten its outputs (`top_k`).

    Args:
        temperature: T, dividing both models' logits; the term is multiplied by T², which is 1 in the paper.
        easy_weight: λ.
        hard_fraction: The share of hard tokens, ties not counted.
        split: The tokens of the quantile: the labelled tokens of the `batch` (the paper), of each `sequence`, or those
            of `running` training, for batches of few tokens.
        reverse: Whether to reverse the roles of teacher and student in both terms; the split stays the teacher's.

    Raises:
        ValueError: A share is not one, the temperature is not a positive number, or there is no such split.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        easy_weight: float = 0.2,
        hard_fraction: float = 0.5,
        split: Split = "batch",
        reverse: bool = False,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_choice("split", split, get_args(Split))
        if not 0 <= easy_weight <= 1:
            raise ValueError(f"easy_weight is {easy_weight}; the easy tokens' share of the loss must lie in [0, 1]")
        if not 0 < hard_fraction <= 1:
            raise ValueError(f"hard_fraction is {hard_fraction}; it is a share of the tokens and must lie in (0, 1]")
        self.temperature, self.easy_weight, self.reverse = temperature, easy_weight, reverse
        self._fraction, self._split = hard_fraction, split
        self._quantile = RunningQuantile(hard_fraction) if split == "running" else None

    def requirements(self) -> Requirements:
        """The logits of labelled tokens."""
        return Requirements(
            logits="labelled",
            over_micro_batches=True,
            refusal=self._refusal,
            two_tokenizers=True,
            count=how_many_labelled,
        )

    def _refusal(self, setup: TrainingSetup) -> str | None:
        if not self.counts_ahead or setup.micro_batches == 1 or setup.cache_top_k is None:
            return None
        return (
            "atkd counts the easy and hard tokens of all micro-batches by the teacher's outputs, and a teacher cache "
            "with top_k changes these from the second epoch on; leave top_k out, do without gradient accumulation, or "
            "set atkd's split to 'batch'"
        )

    @property
    def counts_ahead(self) -> bool:
        """Whether the teacher runs on all micro-batches of a step before the first is trained on."""
        return self._split != "batch"

    def forward(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        return self.row_loss(run).value()

    def row_loss(self, run: StepContext) -> RowLoss:
        """The term as a loss that can share a pass with others."""
        task = run.student.task
        if self._split == "sequence" and task not in TOKEN_TASKS:
            raise ValueError(
                f"atkd's split is 'sequence', but {task} predicts once per row, so there is nothing to split; use "
                "'batch', or 'running' for batches of few rows"
            )
        gold = gold_of(run, "atkd")
        student, teacher, label, mask = gold
        teacher_odds = gold.teacher_odds(self.temperature)
        hard = self._hard(gold, teacher_odds, run.student_run, run, remember=run.student.model.training)
        settings = (self.temperature, self.easy_weight, self.reverse, self._sizes(run, mask, hard), teacher_odds)
        term = atkd_rows(student, teacher, label, hard, mask, *settings).times(self.temperature**2)
        if run.micro_batches is None or self.counts_ahead:
            return term
        return term.times(self._share(run, run.micro_batches, run.student_run.hidden.dtype))

    def _hard(
        self, gold: Gold, teacher_odds: TeacherOdds, base: ForwardOutput, run: StepContext, remember: bool
    ) -> Bool[Tensor, " item"]:
        odds = -teacher_odds.log_odds
        if self._quantile is not None:
            return self._quantile(odds, gold.mask, run.step, remember)
        if self._split == "batch":
            among = None
            if run.micro_batches is not None and run.micro_batches.processes > 1:
                among = run.micro_batches.of_processes(odds.masked_fill(~gold.mask, torch.inf), torch.inf)
            return hard_tokens(odds, gold.mask, self._fraction, among=among)
        in_place, counted = (of_sequences(base, each) for each in (odds, gold.mask))
        return base.of_items(hard_tokens(in_place, counted, self._fraction, over="sequence"))

    def _share(self, run: StepContext, micro_batches: MicroBatches, dtype: torch.dtype) -> Tensor:
        """The share of the step that this micro-batch has, over all processes."""
        amount = partial(self.requirements().amount, run.student.task)
        average = micro_batches.average(self, amount, dtype)
        own = micro_batches.over_processes(amount(run.batch)) / micro_batches.processes
        return own / torch.where(average > 0, average, 1)

    def _sizes(self, run: StepContext, mask: Tensor, hard: Tensor) -> tuple[Tensor, Tensor] | None:
        """The mean number of easy and hard tokens of a micro-batch; to count them over a step, the teacher runs on all
        of its micro-batches.
        """
        if run.micro_batches is None:
            return None
        if not self.counts_ahead:
            counts = torch.stack([(mask & ~hard).sum(), hard.sum()])
            easy, of_hard = run.micro_batches.over_processes(counts) / run.micro_batches.processes
            return easy, of_hard

        def count(batch: Batch) -> Tensor:
            teacher_outputs = run.teacher_on(batch, self.requirements().logits_at(run.student.task, batch))
            gold = gold_of(replace(run, batch=batch, student_run=teacher_outputs, teacher_run=teacher_outputs), "atkd")
            teacher_odds = gold.teacher_odds(self.temperature)
            hard = self._hard(gold, teacher_odds, teacher_outputs, run, remember=False)
            return torch.stack([(gold.mask & ~hard).sum(), hard.sum()])

        easy, hard = run.micro_batches.average(self, count, run.student_run.hidden.dtype)
        return easy, hard


class DKD:
    """T² · (α TKD + β DKD) at labelled predictions on base (Zhao et al. 2022). Costs no further forward.

    Args:
        temperature: T, dividing both models' logits.
        alpha: Factor of the target-oriented term.
        beta: Factor of the diversity-oriented term.

    Raises:
        ValueError: The temperature is not a positive number, or a factor is not a finite one.
    """

    def __init__(self, temperature: float = 1.0, alpha: float = 0.2, beta: float = 1.0) -> None:
        check_temperature(temperature)
        if not all(map(math.isfinite, (alpha, beta))):
            raise ValueError(f"alpha is {alpha} and beta {beta}; both must be finite numbers")
        self.temperature, self.alpha, self.beta = temperature, alpha, beta

    def requirements(self) -> Requirements:
        """The logits of labelled tokens."""
        return Requirements(logits="labelled", two_tokenizers=True, count=how_many_labelled)

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        return self.row_loss(run).value()

    def row_loss(self, run: StepContext) -> RowLoss:
        """The term as a loss that can share a pass with others."""
        student, teacher, label, mask = gold_of(run, "dkd")
        term = dkd_rows(student, teacher, label, mask, self.temperature, self.alpha, self.beta)
        return term.times(self.temperature**2)
