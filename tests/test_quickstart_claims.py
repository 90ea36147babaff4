"""The claims the README makes of the quickstart, trained in full: minutes, so only with `make test-slow`."""

import pytest

from causalkd import Recipe, VerificationReport, distill
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> VerificationReport:
    folder = tmp_path_factory.mktemp("quickstart")
    return distill(Recipe.load("quickstart", [f"output={folder}/run", f"seeds={list(SEEDS)}"]))


def trained(report: VerificationReport, student: str, seed: int, baseline: str = "none") -> InterchangeRow:
    (row,) = [
        row
        for row in report.interchange
        if (row.student, row.seed, row.baseline, row.pair) == (student, seed, baseline, "middle") and row.aligned
    ]
    return row


def against(report: VerificationReport, seed: int, reference: str, baseline: str) -> DifferenceRow:
    (row,) = [
        row
        for row in report.differences
        if (row.student, row.seed, row.reference, row.baseline) == ("diito", seed, reference, baseline)
        and row.measure == "iia_effective"
        and row.pair == "middle"
    ]
    return row


@pytest.mark.parametrize("seed", SEEDS)
def test_teacher_learns_the_task_on_held_out_frames(tmp_path, seed):
    changes = [f"output={tmp_path}/run", f"teacher.seed={seed}", "training.steps=1"]
    changes += ["students.kd.training={}", "students.diito.training={}", "verification.pairs=50"]
    found = distill(Recipe.load("quickstart", changes))
    assert found.teacher.task_metric is not None and found.teacher.task_metric >= 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_enough_pairs_are_effective(report, seed):
    row = trained(report, "diito", seed)
    assert row.effective_pairs >= 300
    assert row.effective_pairs >= row.pairs / 5


@pytest.mark.parametrize("seed", SEEDS)
def test_diito_exceeds_kd_at_equal_compute(report, seed):
    difference = against(report, seed, "kd", "none")
    assert difference.difference >= 0.15
    assert difference.low > 0
    costs = {student.name: student.block_forwards for student in report.students if student.seed == seed}
    assert costs["kd"] >= 0.98 * costs["diito"]


@pytest.mark.parametrize("seed", SEEDS)
def test_diito_exceeds_the_modal_guess(report, seed):
    assert trained(report, "diito", seed).iia_effective > trained(report, "diito", seed, "majority_class").iia_effective
    assert against(report, seed, "diito", "majority_class").low > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_diito_exceeds_its_own_permuted_source(report, seed):
    assert against(report, seed, "diito", "permuted_source").difference >= 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracy_is_within_a_point_of_kd(report, seed):
    accuracy = {student.name: student.task_metric for student in report.students if student.seed == seed}
    assert accuracy["diito"] >= accuracy["kd"] - 0.01
