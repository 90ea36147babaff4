"""Teachers of several sizes: trained on the same stories, measured on the same answers against the same student."""

from pathlib import Path

import numpy as np
import pytest

from analysis.scripts import larger_teachers
from analysis.scripts.larger_teachers import SIZES, compare_teachers, main, table
from causalkd.verification.results.teaching import TeachingModes

SMALL = ("data.train_limit=64", "data.eval_limit=12", "teacher.training.steps=2", "teacher.training.batch_size=16")


@pytest.fixture(scope="module")
def found() -> dict[str, TeachingModes]:
    return compare_teachers(SIZES[:2], *SMALL)


def test_every_teacher_is_measured_on_the_same_answers(found: dict[str, TeachingModes]) -> None:
    assert list(found) == ["1 × 16", "2 × 32"]
    small, large = found.values()
    assert len(small.uncertainty) == 12 * 4 and np.array_equal(small.position, large.position)
    assert (small.uncertainty != large.uncertainty).all() and (small.diversity != large.diversity).all()
    assert (small.target > 0).any()  # the student, of the same size, is another model


def test_a_row_a_teacher_whose_terms_add_up(found: dict[str, TeachingModes]) -> None:
    heads, *rows = table(found)
    assert [row[0] for row in rows] == list(found) and {len(row) for row in rows} == {len(heads)}
    for row, modes in zip(rows, found.values(), strict=True):
        unc, target, diversity, left, kept, share = map(float, row[1:])
        assert unc == pytest.approx(modes.uncertainty.mean(), abs=1e-4)
        assert (kept, share) == pytest.approx((left / diversity, left / (target + left)), abs=0.02)


def test_one_command_draws_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked: list[tuple] = []

    def compared(sizes: tuple, *changes: str) -> dict[str, TeachingModes]:
        asked.append((sizes, changes))
        return compare_teachers(sizes[:1], *SMALL)

    monkeypatch.setattr(larger_teachers, "compare_teachers", compared)
    main(steps=7, output=tmp_path / "figures" / "teachers.svg")
    assert asked == [(SIZES, ("teacher.training.steps=7",))]
    assert "<svg" in (tmp_path / "figures" / "teachers.svg").read_text()
    assert "1 × 16" in capsys.readouterr().out
