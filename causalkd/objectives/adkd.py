"""AD-KD: the student's attribution maps learn from the teacher's (Wu et al. 2023, arXiv 2305.10010)."""

from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.attribution.differentiable import traced_attributions
from causalkd.attribution.integrated_gradients import check_steps
from causalkd.attribution.maps import token_norms
from causalkd.attribution.targets import CLASSES, TARGETS, Target
from causalkd.data.batch import Batch
from causalkd.errors import check_choice
from causalkd.losses.map_distance import Distance, map_distance
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import attention_window
from causalkd.models.hooks.start_at import entry_hook_points, hook_point_of
from causalkd.objectives.base import Requirements, StepContext
from causalkd.objectives.teacher_map import StudentAttributions, TeacherMap, explained_logits
from causalkd.task_types import LANGUAGE_MODELS


class ADKD:
    """The distance of the attribution maps of both models on base, summed over the views (L_attr).

    A map scores each position by the norm of its integrated gradients from a zero baseline; the teacher's, a constant,
    by its `top_k` largest dimensions. Widths need not match. Padding has no attribution and does not count.

    Differs from the paper: F is the loss −log p of a view, as in the release; the paper explains the probability
    (`target`). Differs from the release: the path's last step is the base run itself, dropout included.

    Costs with one step, per model: one backward pass to the embedding per view, and for all K classes K − 1 (K with the
    target `logit`); also the student's second-order backward through them. Each further step costs another forward with
    as many backward passes per model, the student's twice. The student runs with eager attention. With gradient
    accumulation, a teacher whose attention has a window computes the maps of rows longer than the window twice.

    Args:
        teacher: The frozen model.
        student: The model being trained.
        views: `all` classes; the `label`, which with the target `loss` is the release's for two classes and regression;
            or for language models this many of the teacher's likeliest tokens at a labelled position drawn for each
            row.
        target: The scalar of a view that is explained.
        steps: Number of integration steps; 1 is input × gradient.
        top_k: The number, or the fraction, of the teacher's largest dimensions that count; None for all.
        distance: `l1`, `l2` or `smooth_l1`.
        norm: The norm over positions by which maps are scaled.
        hook_point: The hook point of both models' maps; None for the output of the embeddings.
        teacher_hook_point: The teacher's hook point, such as the output of a later block; None for `hook_point`.
        seed: Seed of the drawn positions.

    Raises:
        ValueError: Views that the head does not have, `top_k` beyond the teacher's width, no step, no such hook point,
            one after which no position is read by another, or an unknown setting.
    """

    def __init__(
        self,
        teacher: HookedModel,
        student: HookedModel,
        *,
        views: StudentAttributions = "all",
        target: Target = "loss",
        steps: int = 1,
        top_k: int | float | None = None,
        distance: Distance = "l2",
        norm: Literal[1, 2] = 2,
        hook_point: str | None = None,
        teacher_hook_point: str | None = None,
        seed: int = 0,
    ) -> None:
        check_steps(steps)
        _check_views(student, views, target)
        for name, given, known in (("distance", distance, get_args(Distance)), ("norm", norm, (1, 2))):
            check_choice(f"adkd's {name}", given, known)
        at, self._place = hook_point_of(teacher, teacher_hook_point or hook_point), hook_point_of(student, hook_point)
        for model, entry in ((teacher, at), (student, self._place)):
            _check_reach(model, entry)
        self.query = TeacherMap(at, views, target, steps, _count(top_k, at), seed)
        self._distance: Distance = distance
        self._norm: Literal[1, 2] = norm
        self._window = attention_window(teacher.model)
        self._kept = Requirements(
            student=entry_hook_points(student, self._place),
            logits="labelled",
            over_micro_batches=True,
            second_order=True,
            teacher_query=self.query,
        )

    def requirements(self) -> Requirements:
        """The activations at the student's hook point, and the teacher's map."""
        return self._kept

    def maps(self, run: StepContext) -> tuple[Float[Tensor, "view batch pos"], Float[Tensor, "view batch pos"]]:
        """The student's scores of the positions, in its graph, and the teacher's."""
        student, query = run.student, self.query
        answer = run.teacher_answer(query)
        logits = explained_logits(run.student_run, query.position(student.task, run.batch))
        values = traced_attributions(
            student,
            run.student_run,
            logits,
            query.views_of(answer, student.task, run.batch, logits.shape[-1]),
            hook_point=self._place,
            steps=query.steps,
            target=query.target,
            differentiable=torch.is_grad_enabled(),
        )
        return token_norms(values), answer["scores"].permute(2, 0, 1)

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        valid = self.query.valid(run.student.task, run.batch)
        term = map_distance(*self.maps(run), valid, self._distance, self._norm)
        if run.micro_batches is None:
            return term
        return term * run.micro_batches.share(self, partial(self._amount, run), run.batch, term.dtype)

    def amount(self, run: StepContext) -> Int[Tensor, ""]:
        """The number of positions that the term of a step is a mean over, for each view."""
        return self._amount(run, run.batch)

    def _amount(self, run: StepContext, batch: Batch) -> Int[Tensor, ""]:
        task = run.student.task
        if self._window is None or batch.counted.shape[1] <= self._window:
            return self.query.amount(task, batch)
        # The positions that reach a view depend on the layers after the hook point; the map itself shows them.
        scores = run.teacher_answer(self.query, None if batch is run.batch else batch)["scores"]
        valid = self.query.valid(task, batch)
        reach = (scores != 0).any(-1)
        return (reach if valid is None else reach & valid[:, None]).sum()


def _check_reach(model: HookedModel, hook_point: HookPoint) -> None:
    """Refuses a hook point after the last attention: there only the position that the head reads has a score."""
    if hook_point.layer == model.n_layers - 1 and hook_point.component not in ("token_embedding", "block_input"):
        raise ValueError(
            f"adkd's hook point is {hook_point.name} of {model}, which has no attention layer after it, so only the "
            "position that the head reads would have a score, in every model; name an earlier hook point"
        )


def _check_views(student: HookedModel, views: StudentAttributions, target: Target) -> None:
    check_choice("adkd's target", target, TARGETS)
    if not isinstance(views, int):
        check_choice("adkd's views", views, ("all", "label"))
    task, vocabulary = student.task, student.vocabulary
    if task in LANGUAGE_MODELS:
        if not isinstance(views, int) or not 1 <= views <= vocabulary:
            raise ValueError(
                f"adkd's views are {views!r}, but a {task} has {vocabulary} classes; "
                "give the number of tokens to explain"
            )
    elif task not in CLASSES:
        explained = "classes, a number or a next token"
        raise ValueError(f"adkd explains {explained}, and {student} has a {task} head; leave adkd out")
    elif isinstance(views, int):
        raise ValueError(f"adkd's views are {views}, a number of tokens, but this is a {task}; use `all` or `label`")
    if task == "regression" and target not in ("logit", "loss"):
        raise ValueError(f"adkd's target is {target!r}, but a regression has no classes; use `loss` or `logit`")


def _count(top_k: int | float | None, hook_point: HookPoint) -> int:
    if top_k is None:
        return hook_point.width
    count = round(top_k * hook_point.width) if isinstance(top_k, float) else top_k
    if not 1 <= count <= hook_point.width:
        raise ValueError(
            f"adkd's top_k is {top_k}, but the teacher is {hook_point.width} wide at {hook_point.name}; "
            f"give a number from 1 to {hook_point.width}, or a fraction up to 1.0"
        )
    return count
