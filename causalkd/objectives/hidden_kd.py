"""Hidden-state KD: the student's last hidden states learn from the teacher's."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from causalkd.errors import check_choice
from causalkd.losses.hidden import cosine_distance, squared_distance
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Requirements, StepContext

Distance = Literal["cosine", "squared"]
DISTANCES = {"cosine": cosine_distance, "squared": squared_distance}


class HiddenKD(nn.Module):
    """The distance of the last hidden states over real tokens (DIITO's L_cos, from DistilBERT). Costs no further
    forward.

    Args:
        teacher: The frozen model.
        student: The model being trained.
        distance: `cosine` (1 − cos) or `squared` (summed over the width).
        projection: Whether to learn a linear map from the student's last hidden states to the teacher's; it is not part
            of the student's checkpoint. Without it their widths must be equal.
        seed: Seed of the projection's first weights.

    Raises:
        ValueError: The widths differ, and there is no projection; or there is no such distance.
    """

    def __init__(
        self,
        teacher: HookedModel,
        student: HookedModel,
        distance: Distance = "cosine",
        projection: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_choice("distance", distance, list(DISTANCES))
        if not projection:
            require_equal_widths("hidden_kd", teacher, student, "set hidden_kd's `projection` to learn one")
        self._distance = DISTANCES[distance]
        self._project = _linear_map(student, teacher, seed) if projection else nn.Identity()

    def requirements(self) -> Requirements:
        """Nothing more than the last hidden states, which every run has."""
        return Requirements(logits="none")

    def forward(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        _, teacher_run = run.teacher_outputs()
        return self._distance(self._project(run.student_run.hidden), teacher_run.hidden, run.batch.counted)


def require_equal_widths(objective: str, teacher: HookedModel, student: HookedModel, way_out: str) -> None:
    """Refuses to compare hidden states of different widths.

    Raises:
        ValueError: The widths differ; the message says what can be done.
    """
    if teacher.hidden_width != student.hidden_width:
        raise ValueError(
            f"{objective} compares hidden states, and the teacher's are {teacher.hidden_width} wide, the student's "
            f"{student.hidden_width}; this needs equal widths or a learned projection. "
            f"Use a student of equal width, or {way_out}."
        )


def _linear_map(student: HookedModel, teacher: HookedModel, seed: int) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        linear = nn.Linear(student.hidden_width, teacher.hidden_width, bias=False)
    return linear.to(device=student.model.device, dtype=student.model.dtype)
