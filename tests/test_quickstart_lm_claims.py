"""What the recipe of the planted stories is for, trained in full: minutes, so only with `make test-slow`."""

import pytest

from causalkd import Recipe, VerificationReport, distill

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> VerificationReport:
    folder = tmp_path_factory.mktemp("quickstart-lm")
    return distill(Recipe.load("quickstart-lm", [f"output={folder}/run"]))


def test_the_teacher_answers_held_out_stories(report: VerificationReport) -> None:
    assert report.teacher.task_metric is not None and report.teacher.task_metric >= 0.97


def test_most_interventions_change_a_prediction(report: VerificationReport) -> None:
    """The facts are at their positions after block 0; a block later they have been read, and nothing changes."""
    real = [row for row in report.interchange if row.baseline == "measured" and row.student == "diito"]
    by_layer = {row.teacher_layer: row.effective_pairs for row in real}
    assert by_layer[0] >= real[0].pairs / 2
    assert by_layer[2] <= real[0].pairs / 100


def test_the_sites_carry_the_facts(report: VerificationReport) -> None:
    """The claim holds after the teacher's block 0, and not only at the sites of the alignment."""
    rows = {row.variable: row for row in report.ground_truth if (row.model, row.layer) == ("teacher", 0)}
    shares = [rows[name].iia_effective for name in ("facts", "places")]
    assert shares[0] is not None and shares[1] is not None and shares[0] >= 0.97 and shares[1] <= 0.5


def test_students_cost_the_same(report: VerificationReport) -> None:
    costs = [student.block_forwards for student in report.students if student.block_forwards is not None]
    assert len(costs) == len(report.students) == 3 and max(costs) <= 1.02 * min(costs)
