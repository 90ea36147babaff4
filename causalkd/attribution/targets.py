"""Views: the outputs of a model that a map explains."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from causalkd.task_types import TOKEN_TASKS, Task

Target = Literal["probability", "log_probability", "logit", "loss"]
"""The scalar of a view that is explained: p, log p, the logit z, or the loss: −log p, and (z − goal)² for
regression."""
TARGETS: tuple[Target, ...] = get_args(Target)
CLASSES: tuple[Task, ...] = ("classification", "regression")
"""Tasks that predict once per row and whose outputs a map can explain."""


@dataclass(frozen=True, eq=False)
class Views:
    """One output for each view and row.

    Attributes:
        choice: The class or the token.
        position: The position in each row where a per-token head predicts them; None for heads that predict once per
            row.
        goal: The labels of a regression, for the target `loss`.
        every: The views are all classes, in order.
    """

    choice: Int[Tensor, "view batch"]
    position: Int[Tensor, "batch"] | None = None
    goal: Float[Tensor, "batch"] | None = None
    every: bool = False

    def repeated(self, times: int) -> "Views":
        """The views of all rows several times, one after the other."""
        position, goal = (None if each is None else each.repeat(times) for each in (self.position, self.goal))
        return Views(self.choice.repeat(1, times), position, goal, self.every)


def class_views(classes: int, rows: int, device: torch.device | str = "cpu") -> Views:
    """Every class of a classification, or the one number of a regression."""
    return Views(torch.arange(classes, device=device)[:, None].expand(classes, rows), every=True)


def label_views(labels: Tensor) -> Views:
    """One view per row: its own class, or the number that a regression should predict; the first class without a
    label. Labels of a regression are floating-point numbers: whole ones are classes.

    Raises:
        ValueError: The labels are not one for each row.
    """
    if labels.shape not in ((len(labels),), (len(labels), 1)):
        raise ValueError(f"the labels have shape {tuple(labels.shape)}; give one for each row")
    labels = labels.flatten()
    if labels.is_floating_point():
        return Views(torch.zeros_like(labels, dtype=torch.long)[None], goal=labels)
    return Views(labels.clamp(min=0)[None])


def token_views(logits: Float[Tensor, "batch choice"], position: Int[Tensor, "batch"], count: int) -> Views:
    """The `count` likeliest tokens (or tags) at one position of each row, the likeliest first.

    Raises:
        ValueError: There are fewer tokens, or none are asked for.
    """
    if not 0 < count <= logits.shape[-1]:
        raise ValueError(f"{count} likeliest tokens asked for; there are 1–{logits.shape[-1]}")
    return Views(logits.topk(count, dim=-1).indices.T, position)


def check_rows(views: Views, task: Task, real: Bool[Tensor, "batch pos"]) -> None:
    """Refuses views that do not suit a head, or that are for other rows or positions than there are.

    Args:
        views: The outputs to explain.
        task: The task of the head.
        real: True at the rows' tokens.

    Raises:
        ValueError: The views do not suit; the message says what the head needs, or names the row without a token there.
    """
    check_explicable(task)
    if (views.position is None) == (task in TOKEN_TASKS):
        wanted = "a position in each row" if task in TOKEN_TASKS else "views without positions"
        raise ValueError(
            f"a {task} head needs {wanted}; make them with " + ("token_views" if task in TOKEN_TASKS else "class_views")
        )
    if views.choice.dim() != 2 or not views.choice.numel():
        raise ValueError(f"the views have shape {tuple(views.choice.shape)}; give (view, batch), and at least one view")
    if views.choice.shape[1] != len(real):
        raise ValueError(f"the views are of {views.choice.shape[1]} rows and the inputs have {len(real)}")
    if views.position is not None:
        inside = (views.position >= 0) & (views.position < real.shape[1])
        known = inside & real.gather(1, views.position.where(inside, 0)[:, None])[:, 0]
        if not known.all():
            row = int(known.int().argmin())
            raise ValueError(f"row {row} has no token at position {int(views.position[row])}, where its views are")


def check_explicable(task: Task) -> None:
    """Refuses a head whose outputs a map cannot explain.

    Raises:
        ValueError: The head predicts neither one class or number of a row nor single tokens.
    """
    if task not in CLASSES + TOKEN_TASKS:
        raise ValueError(
            f"a {task} head predicts no single class or token of a row; maps explain {', '.join(CLASSES + TOKEN_TASKS)}"
        )


def check_views(views: Views, task: Task, outputs: int, target: Target) -> None:
    """Refuses views and targets that a head with this many outputs cannot have.

    Raises:
        ValueError: There is no such view or target.
    """
    low, high = int(views.choice.min()), int(views.choice.max())
    if task == "regression" and high > 0 and views.goal is None:
        raise ValueError(
            f"view {high} is a class and this head predicts a number; give label_views floating-point labels"
        )
    if low < 0 or high >= outputs:
        raise ValueError(f"view {low if low < 0 else high} is not a class of this head, which has 0–{outputs - 1}")
    if views.every and len(views.choice) != outputs:
        raise ValueError(f"the views are of {len(views.choice)} classes and this head has {outputs}; give all of them")
    if task == "regression" and target in ("probability", "log_probability"):
        raise ValueError(f"target {target!r} needs classes and this head predicts a number; use `logit` or `loss`")
    if task == "regression" and target == "loss" and views.goal is None:
        raise ValueError("target 'loss' of a regression needs its labels; make the views with label_views(labels)")


def logits_at(views: Views, width: int) -> Int[Tensor, "batch"] | None:
    """The views' positions numbered through rows of this many positions; None if the head predicts once per row."""
    if views.position is None:
        return None
    return torch.arange(len(views.position), device=views.position.device) * width + views.position


def view_values(logits: Float[Tensor, "batch choice"], views: Views, target: Target) -> Float[Tensor, "view batch"]:
    """The explained scalar of each view and row, from each row's logits at its position; in float32 at least."""
    if _is_of_logits(views, target):
        chosen = _chosen(logits, views)
        return chosen if target == "logit" or views.goal is None else (chosen - views.goal).square()
    # log_softmax's gradient takes p from 1, which leaves little near 1.
    log_p = logsigmoid(_log_odds(logits, views))
    return {"loss": log_p.neg, "probability": log_p.exp}.get(target, lambda: log_p)()


def steep_values(logits: Float[Tensor, "batch choice"], views: Views, target: Target) -> Float[Tensor, "view batch"]:
    """The logit or the log odds that the target is a function of. Their gradient is of order one where the target's can
    be tiny; the target's gradient is the `slopes` times theirs.
    """
    return _chosen(logits, views) if _is_of_logits(views, target) else _log_odds(logits, views)


def slopes(steep: Float[Tensor, "view batch"], views: Views, target: Target) -> Float[Tensor, "view batch"]:
    """The derivative of each view's target at its `steep_values`."""
    if _is_of_logits(views, target):
        return torch.ones_like(steep) if target == "logit" or views.goal is None else 2 * (steep - views.goal)
    others = (-steep).sigmoid()
    return {"loss": others.neg, "probability": lambda: steep.sigmoid() * others}.get(target, lambda: others)()


def _is_of_logits(views: Views, target: Target) -> bool:
    return target == "logit" or (target == "loss" and views.goal is not None)


def _chosen(logits: Float[Tensor, "batch choice"], views: Views) -> Float[Tensor, "view batch"]:
    return at_least_float32(logits).T.gather(0, views.choice)


def _log_odds(logits: Float[Tensor, "batch choice"], views: Views) -> Float[Tensor, "view batch"]:
    """The log of p / (1 − p), which is z − log Σ of the others' exp.

    The entries of no view are added up once for all views, so that memory does not hold the vocabulary for each.
    """
    logits, count = at_least_float32(logits), len(views.choice)
    chosen = logits.T.gather(0, views.choice)
    if count >= logits.shape[-1]:  # each entry may be a view's
        others = logits.expand(count, -1, -1).scatter(-1, views.choice[..., None], -torch.inf)
        return chosen - others.logsumexp(-1)
    rest = logits.scatter(-1, views.choice.T, -torch.inf).logsumexp(-1)
    same = views.choice[:, None] == views.choice
    once = (chosen - same.sum(0).log()).expand(count, -1, -1).masked_fill(same, -torch.inf)
    return chosen - torch.cat([once, rest.expand(count, 1, -1)], dim=1).logsumexp(1)


def at_least_float32(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The values in float32 if they are of half precision, which would lose the log of a probability near 1 or the norm
    of small numbers; else unchanged.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
