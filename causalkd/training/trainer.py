"""DistillationTrainer: transformers' Trainer with a weighted sum of objectives as its loss."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from causalkd.data.batch import Batch
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.attention import twice_differentiable
from causalkd.models.hooks.compiled_blocks import compiled_blocks
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import move_to
from causalkd.models.vocabularies import share_entries
from causalkd.objectives.base import StepContext, TrainingSetup, Weighted, hook_points_of
from causalkd.objectives.cached_predictions import OutputCache
from causalkd.objectives.micro_batches import MicroBatches
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.objectives.terms import terms_of
from causalkd.training.all_processes import AllProcesses
from causalkd.training.callbacks import OnTrainBegin, SetEpoch
from causalkd.training.checked_batches import CheckedBatches
from causalkd.training.evaluating import EvaluatingTrainer
from causalkd.training.gradient_reset import GradientReset
from causalkd.training.objective_parameters import ObjectiveParameters
from causalkd.training.repeatable import repeatable, seeded
from causalkd.training.restored_weights import restore_rest
from causalkd.training.sharding import is_sharded, whole_weights
from causalkd.training.term_sums import TermSums, Unlogged, check_finite
from causalkd.training.trainer_checks import (
    check_compiled,
    check_given,
    check_objectives,
    check_saving,
)
from causalkd.training.trainer_settings import check_settings, reads_twice
from causalkd.training.unreached import Unreached


class DistillationTrainer(EvaluatingTrainer):
    """Trains a student on Σ weight · term; everything else (devices, resuming, trackers) is the Trainer's.

    Every term is logged unweighted under `term/<name>`, averaged over all processes' steps since the last log. Batches
    come from a `PairingCollator`. The student stays a stock model, so checkpoints are stock checkpoints.

    Args:
        student: The model to train; also a future teacher, trained on its task alone.
        objectives: Name → weight and objective.
        teacher: The frozen model; None if no objective needs one.
        sequences: Given a training batch, the step and the number of the micro-batch in it, gives what to train on
            instead (see `OnPolicy`).
        memory: Keeps the teacher's outputs between epochs; None computes them again.
        watch: Given the step, returns measurements to log with the terms; called whenever they are logged.
        measure: Measures the student if the arguments ask for an evaluation (`eval_strategy`), by name of metric.
            Dropout is off in both.
        compile_blocks: Whether the student's blocks are compiled while it is trained (see `compiled_blocks`).
        **trainer: The arguments of transformers' Trainer (args, train_dataset, data_collator, callbacks, …).

    Raises:
        ValueError: There are no objectives, the student is a teacher, has nothing to train or
            shares trained weights with its teacher, the two cannot be compared, or the objectives cannot be trained
            with these arguments.
    """

    def __init__(
        self,
        student: HookedModel,
        objectives: Mapping[str, Weighted],
        teacher: HookedModel | None = None,
        sequences: Callable[[Batch, int, int], Batch] | None = None,
        memory: OutputCache | None = None,
        watch: Callable[[int], Mapping[str, float]] | None = None,
        measure: Callable[[], Mapping[str, float]] | None = None,
        compile_blocks: bool = False,
        **trainer: Any,
    ) -> None:
        check_given(student, objectives, teacher, trainer.get("data_collator"))
        twice = reads_twice(trainer)
        if teacher is not None:
            check_pair(teacher, student, same_tokens=hook_points_of(objectives).same_tokens and not twice)
            share_entries(teacher, student)
        self._entries = student.entries
        args = trainer.get("args")
        check_settings(args, trainer, student)
        check_saving(student)
        super().__init__(model=student.model, processing_class=student.tokenizer, **trainer)
        # The loss is a mean over a micro-batch, so the Trainer must divide by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        self.student, self.teacher, self.objectives = student, teacher, dict(objectives)
        self.data_collator = CheckedBatches.of(self.data_collator, student, teacher)
        self._memory, self._watch, self._measure = memory, watch, measure
        self._kept = hook_points_of(self.objectives)
        self._processes = AllProcesses(self.accelerator)
        setup = TrainingSetup(
            self.args.gradient_accumulation_steps * self._processes.number,
            None if memory is None else memory.top_k,
            sequences is not None,
            twice,
        )
        check_objectives(self.objectives, setup, student.task, sharded=self.is_fsdp_enabled)
        if compile_blocks:
            sharded, on_policy = self.is_fsdp_enabled, sequences is not None
            check_compiled(self.objectives, self.args, sharded=sharded, on_policy=on_policy)
        self._compiled, self._sequences = compile_blocks, sequences
        self._learned = ObjectiveParameters(self.objectives)
        self._learned.modules.to(self.args.device)
        self._learned.average_gradients()
        self._unreached = Unreached()
        self._micro_batches: MicroBatches | None = None
        self._sums, self._unlogged = TermSums(), Unlogged()
        self.add_callback(GradientReset(self._learned, self._unreached))
        self.add_callback(OnTrainBegin(self._continue_terms))
        self.add_callback(SetEpoch(self.train_dataset))
        if teacher is not None:
            move_to(teacher, self.args.device)

    def train(self, *given: Any, **named: Any) -> Any:
        """Trains, with compiled blocks if requested.

        Raises:
            ValueError: Every objective has weight 0, or the training has diverged, which is also found if no row of the
                log follows.
        """
        if not any(each.weight for each in self.objectives.values()):
            raise ValueError("every objective has weight 0, so there is nothing to train on; give one of them a weight")
        with compiled_blocks(self.student) if self._compiled else nullcontext():
            finished = super().train(*given, **named)
        check_finite(self.state.global_step, self._sums.means(self._processes.sum, self._processes.number))
        self.check_weights()
        return finished

    def create_accelerator_and_postprocess(self) -> None:
        """Accelerate's own, which also shards on CPUs if FSDP is requested."""
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = is_sharded(self.args, self.accelerator.state)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Runs both models on base, every objective on the runs, and returns the weighted sum.

        Per-token heads predict at the positions that some objective needs; if outputs are returned, at all.
        """
        self._share_entries()
        both = Batch.from_tensors(inputs)
        batch, everywhere = both.read_by("student"), return_outputs and both.student is None
        logits_at = None if everywhere else self._kept.logits_at(self.student.task, batch)
        # All passes of a student in a step draw their dropout with the same attention implementation.
        with twice_differentiable(self.student) if self._kept.second_order else nullcontext():
            student_run = self.student.run(batch.inputs, self._kept.student, model, logits_at)
            run = self._base_run(model, both, student_run)
            loss, terms = terms_of(self.objectives, run)
        if model.training:
            self._sums.add(terms, loss)
            loss = self._unreached.reach_all(model, loss, student_run.outputs)
        return (loss, {"loss": loss, "logits": student_run.logits}) if return_outputs else loss

    def get_batch_samples(self, *given: Any) -> tuple[list, Tensor | int | None]:
        """The micro-batches of the next optimizer step, perhaps with new responses.

        If there are several, or other processes have more, they are noted.
        """
        self._share_entries()
        samples, items = super().get_batch_samples(*given)
        batches = tuple(Batch.from_tensors(sample).to(self.args.device) for sample in samples)
        if self._sequences is not None:
            batches = tuple(self._sequences(batch, self.state.global_step, n) for n, batch in enumerate(batches))
            samples = [batch.tensors() for batch in batches]
        here, self._micro_batches = self._processes, None
        if len(batches) * here.number > 1:
            self._micro_batches = MicroBatches(batches, here.number, here.sum, here.list)
        return samples, items

    def get_train_dataloader(self) -> DataLoader:
        """The Trainer's, which draws nothing from the generator of the process if its workers stay."""
        return seeded(super().get_train_dataloader(), self.args)

    def _get_train_sampler(self, *given: Any) -> Sampler | None:
        return repeatable(super()._get_train_sampler(*given), self.args, lambda: int(self.state.epoch or 0))

    def _base_run(self, model: nn.Module, batch: Batch, student_run: ForwardOutput) -> StepContext:
        teacher_outputs, kept = None, self._kept
        at = student_run.logits_at if batch.student is None else kept.logits_at(self.student.task, batch)
        if self.teacher is not None:
            teacher_outputs = TeacherOutputs(self.teacher, batch, kept.teacher, at, kept.teacher_query, self._memory)
        return StepContext(
            self.student,
            batch.read_by("student"),
            student_run,
            self.teacher,
            teacher_outputs,
            step=self.state.global_step,
            epoch=int(self.state.epoch or 0),
            epochs=math.ceil(self.state.num_train_epochs or 1),
            micro_batches=self._micro_batches if model.training else None,
            logits=self._kept.logits,
            read_by_teacher=batch,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the mean of every term since the last log, and the watched measurements.

        Raises:
            ValueError: The loss or a term is not a finite number.
        """
        if self._sums.count and "loss" in logs:
            means = self._sums.take_means(self._processes.sum, self._processes.number)
            terms = {f"term/{name}": mean for name, mean in means.items()}
            check_finite(self.state.global_step, {"loss": logs["loss"], **terms})
            logs |= terms
            with evaluating([self.student]):
                logs |= self._watch(self.state.global_step) if self._watch is not None else {}
        super().log(logs, start_time)

    @property
    def terms_so_far(self) -> dict[str, float]:
        """The sum of every term over this process's micro-batches since the last log."""
        return self._sums.totals()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's optimizer with the objectives' parameters added; a given one that lacks them is refused."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if fresh:
            self._learned.add_to(optimizer, self.args.weight_decay)
        self._learned.check_in(optimizer)
        return optimizer

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        weights = state_dict and whole_weights(state_dict)
        if self.args.should_save:
            super()._save(output_dir, weights)
            self._learned.save(Path(output_dir or str(self.args.output_dir)))

    def _load_best_model(self) -> None:
        # Its present path: the folder may have moved since the path was recorded.
        best = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.best_global_step}"
        if not best.is_dir():
            raise ValueError(f"the best checkpoint, {best}, does not exist; train again from the beginning")
        self.state.best_model_checkpoint = str(best)
        super()._load_best_model()
        self._restore_rest(best)
        self._learned.load(best)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._restore_rest(Path(resume_from_checkpoint))
        self._learned.load(Path(resume_from_checkpoint))
        self._unlogged = Unlogged.read(Path(resume_from_checkpoint), self.args.process_index, self.args.world_size)

    def _restore_rest(self, checkpoint: Path) -> None:
        if not self.is_fsdp_enabled:  # whose checkpoints have the model's own names
            restore_rest(self.student.model, checkpoint)

    def _save_rng_state(self, output_dir: str) -> None:  # every process calls it for every checkpoint
        super()._save_rng_state(output_dir)
        sums, count = self._sums.totals(), self._sums.count
        unlogged = Unlogged(sums, count, self._tr_loss.item(), self._globalstep_last_logged)
        unlogged.write(Path(output_dir), self.args.process_index)

    def _continue_terms(self) -> None:
        """The first row after a checkpoint is a mean over all steps since the last row, including those before it."""
        begun, self._unlogged = self._unlogged, Unlogged()
        self._sums = TermSums(begun.sums, begun.count)
        if begun.last_logged is not None:
            self._tr_loss = torch.tensor(begun.loss, device=self.args.device)
            self._globalstep_last_logged = begun.last_logged

    def _get_collator_with_removed_columns(self, data_collator: Any, description: str | None = None) -> Any:
        # The Trainer would drop from each example what the model's signature lacks: segments, labels, numbers.
        return data_collator
