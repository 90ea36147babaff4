"""Hidden-state KD: the student's last hidden states point where the teacher's do."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from causalkd.losses.hidden import cosine_distance, squared_distance
from causalkd.models.hooked import HookedModel
from causalkd.objectives.base_run import BaseRun, Kept

Distance = Literal["cosine", "squared"]
DISTANCES = {"cosine": cosine_distance, "squared": squared_distance}


class HiddenKD:
    """Distance of the last hidden states over real tokens (DIITO's L_cos, from DistilBERT). Costs no further forward.

    Args:
        teacher: The model whose width the student must have.
        student: The model being trained.
        distance: `cosine` (1 − cos) or `squared` (summed over the width).

    Raises:
        ValueError: The widths differ.
    """

    def __init__(self, teacher: HookedModel, student: HookedModel, distance: Distance = "cosine") -> None:
        require_equal_widths("hidden_kd", teacher, student)
        self._distance = DISTANCES[distance]

    def places(self) -> Kept:
        """Nothing beyond the last hidden states, which every run carries."""
        return Kept()

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The term of one step."""
        _, teacher_run = run.taught()
        return self._distance(run.student_run.hidden, teacher_run.hidden, run.batch.counted)


def require_equal_widths(objective: str, teacher: HookedModel, student: HookedModel) -> None:
    """Refuses to compare hidden states of different widths.

    Raises:
        ValueError: Names both widths and the ways out.
    """
    if teacher.width != student.width:
        raise ValueError(
            f"{objective} compares hidden states, and the teacher is {teacher.width} wide, the student {student.width}: "
            "this needs equal widths or a learned projection. Leave the objective out, or use a student of equal width."
        )
