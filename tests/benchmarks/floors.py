"""What a step must cost, counted instead of measured.

The unit is one block run forward over one row. A backward counts as two forwards. The teacher only runs forward: with
T and S blocks a plain step costs T + 3 S. After an interchange at the output of block t of the teacher and s of the
student, T − 1 − t blocks of the one and S − 1 − s of the other run again; everything before is the base run's, and an
in-batch source has been run already.
"""

from dataclasses import dataclass

from tests.benchmarks.setting import Setting

_FORWARD_AND_BACKWARD = 3


@dataclass(frozen=True)
class Cost:
    """Executed forwards of blocks and of heads, per row; a trained one counts three times."""

    blocks: float
    heads: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.blocks + other.blocks, self.heads + other.heads)

    def flops(self, setting: Setting) -> float:
        """Floating-point operations per token; an elementwise operation counts nothing."""
        width = setting.width
        # Four attention maps and two of the MLP four times as wide; queries with keys, and weights with values.
        block = 2 * (4 + 8) * width**2 + 4 * setting.tokens * width
        head = 2 * width**2 + 2 * width * setting.vocabulary
        if setting.task == "classification":
            head = (2 * width**2 + 2 * width * 2) / setting.tokens
        return self.blocks * block + self.heads * head


def plain_cost(setting: Setting) -> Cost:
    """One forward of the teacher, one forward and backward of the student."""
    return Cost(
        setting.teacher_layers + _FORWARD_AND_BACKWARD * setting.student_layers,
        1 + _FORWARD_AND_BACKWARD,
    )


def diito_cost(setting: Setting) -> Cost:
    """A plain step, and both models' blocks after the site with their heads; sources from elsewhere up to the site."""
    (pair,) = setting.alignment.pairs
    read = [pair.teacher[0].layer + 1, pair.student[0].layer + 1]
    again = [setting.teacher_layers - read[0], setting.student_layers - read[1]]
    cost = plain_cost(setting) + Cost(again[0] + _FORWARD_AND_BACKWARD * again[1], 1 + _FORWARD_AND_BACKWARD)
    return cost if setting.sources == "batch" else cost + Cost(read[0] + _FORWARD_AND_BACKWARD * read[1], 0)


def pyvene_cost(setting: Setting) -> Cost:
    """Base, source and counterfactual as whole forwards of both models, heads included.

    Backward goes whole through the student's base and counterfactual, and through its source up to the site.
    """
    (pair,) = setting.alignment.pairs
    read = pair.student[0].layer + 1
    source = Cost(setting.teacher_layers + setting.student_layers + (_FORWARD_AND_BACKWARD - 1) * read, 2)
    return plain_cost(setting) + plain_cost(setting) + source


def sweep_cost(setting: Setting) -> Cost:
    """Each model once, and once more from every place onwards; sources come from the batch."""
    layers, places = (setting.teacher_layers, setting.student_layers), setting.teacher_layers + setting.student_layers
    return Cost(sum(n + n * (n - 1) / 2 for n in layers), len(layers) + places)


def cellwise_cost(setting: Setting) -> Cost:
    """For every pair of places a source and a counterfactual forward of both models."""
    cells, blocks = setting.teacher_layers * setting.student_layers, setting.teacher_layers + setting.student_layers
    return Cost(2 * cells * blocks, 2 * 2 * cells)
