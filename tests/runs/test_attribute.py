"""The maps of a finished run: what is written, that it stays, what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from causalkd.attribution.faithfulness import Faithfulness
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.runs import attribute as attributions
from causalkd.runs import distill as runs
from causalkd.runs.attribute import attribute, attribution_batches
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.map_files import load_maps
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.measures.attribution_maps import ModelAttributions
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import FinishedRun

SMALL = {"limit": 5, "steps": 2, "portions": 2}


@pytest.fixture(scope="module")
def attributed(quickstart: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the shrunk quickstart with maps."""
    folder = RunFolder(shutil.copytree(quickstart.folder.path, tmp_path_factory.mktemp("attributed") / "run"))
    told: list[str] = []
    attribute(folder.path, **SMALL, tell=told.append)
    assert all("do not add up: after 2 steps from the baseline mean" in line for line in told[4:])
    assert told[:4] == [f"maps of {name}" for name in ("teacher", "kd-seed0", "an untrained student", "diito-seed0")]
    return folder


def test_a_map_of_every_model_at_every_depth(attributed: RunFolder) -> None:
    depths = {"teacher": 5, "kd-seed0": 3, "diito-seed0": 3}
    assert {entry.name for entry in attributed.attributions.iterdir()} == {*depths, "results.json", "manifest.json"}
    for name, count in depths.items():
        maps = load_maps(attributed.path, name)
        assert len(maps) == count and all(each.scores.shape[:2] == (3, 5) for each in maps)
        assert [each.made.hook_point for each in maps][:2] == ["blocks.0.hook_in", "blocks.0.hook_out"]
        assert all(each.views[0] == ("entailment",) * 5 and each.made.baseline == "mean" for each in maps)


def test_the_report_holds_what_was_measured(attributed: RunFolder, quickstart: FinishedRun) -> None:
    report, before = VerificationReport.read(attributed.report), VerificationReport.read(quickstart.folder.report)
    results = report.attribution
    assert results is not None and before.attribution is None
    assert (report.interchange, report.students) == (before.interchange, before.students)
    assert (
        json.loads(attributed.attribution_results.read_text())
        == json.loads(attributed.report.read_text())["attribution"]
    )
    settings = results.settings
    assert (settings.texts, settings.steps, settings.portions, settings.target) == (5, 2, 2, "probability")
    assert settings.views == "every class: entailment, contradiction, neutral"
    assert sorted(results.examples) == [0, 6, 12, 17, 23]  # spread over all 24
    comparisons = [(row.student, row.baseline, row.layer) for row in results.agreement]
    baselines = ("measured", "random_map", "untrained_student")
    assert comparisons == [(s, c, layer) for s in ("kd", "diito") for layer in range(3) for c in baselines]
    places = [
        (row.teacher_hook_point, row.student_hook_point) for row in results.agreement if row.baseline == "measured"
    ][:3]
    assert [teacher for teacher, _ in places] == ["blocks.0.hook_in", "blocks.1.hook_out", "blocks.3.hook_out"]
    assert all(row.cosine.n <= 5 and row.overlap_chance for row in results.agreement)
    faithful = [(row.model, row.baseline) for row in results.faithfulness]
    assert faithful == [
        ("teacher", "measured"),
        *((s, c) for s in ("kd", "diito") for c in ("measured", "untrained_student")),
    ]
    assert len(results.completeness) == 5 + 3 + 3 and {row.attention for row in results.completeness} == {"sdpa"}


def test_an_untrained_student_is_the_same_for_students_of_one_shape(attributed: RunFolder) -> None:
    results = VerificationReport.read(attributed.report).attribution
    assert results is not None
    kd, diito = (
        [r.cosine for r in results.agreement if (r.student, r.baseline) == (s, "untrained_student")]
        for s in ("kd", "diito")
    )
    assert kd == diito


def test_verifying_again_keeps_the_maps_and_attributing_again_finds_the_same(
    attributed: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(shutil.copytree(attributed.path, tmp_path / "run"))
    before = VerificationReport.read(folder.report)
    assert runs.verify(folder.path).attribution == before.attribution
    pages = []
    again = attribute(folder.path, **SMALL, page=lambda report, rows, maps: pages.append((report, maps)) or "a page")
    assert again.attribution == before.attribution and (folder.path / "report.html").read_text() == "a page"
    assert pages[0][0] == again and set(pages[0][1]) == {"teacher", "kd-seed0", "diito-seed0"}
    shutil.rmtree(folder.path / "student" / "kd-seed0")
    shutil.copytree(folder.path / "student" / "diito-seed0", folder.path / "student" / "kd-seed0")
    told: list[str] = []
    assert runs.verify(folder.path, tell=told.append).attribution is None
    (line,) = told
    assert "are of other models or rows than there are now" in line and "causalkd attribute" in line
    folder.clear()
    assert not folder.attributions.exists()


def test_texts_come_short_first_and_no_more_than_there_are(
    quickstart: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributions, "_ROWS", 9)
    run = TrainedRun.load(quickstart.folder.path)
    questions = attribution_batches(run, 1000)
    numbers = torch.cat([question.batch.index for question in questions if question.batch.index is not None])
    lengths = torch.cat([question.batch.counted.sum(1) for question in questions])
    assert sorted(numbers.tolist()) == list(range(24)) and [len(q.predicted_view) for q in questions] == [9, 9, 6]
    assert lengths.tolist() == sorted(lengths.tolist())


def test_what_cannot_be_measured_is_reported_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps is 0, but a path has at least 1"):
        attribute(tmp_path, steps=0)
    with pytest.raises(ValueError, match="portions is 0"):
        attribute(tmp_path, portions=0)
    with pytest.raises(ValueError, match=r"does not hold a run \(there is no recipe.yaml\)"):
        attribute(tmp_path)


def test_a_run_needs_a_report_and_a_text(quickstart: FinishedRun, tmp_path: Path) -> None:
    path = shutil.copytree(quickstart.folder.path, tmp_path / "run")
    with pytest.raises(ValueError, match="limit 0 leaves no text to explain; give at least 1"):
        attribute(path, limit=0)
    (path / "report.json").unlink()
    with pytest.raises(ValueError, match=r"there is no report at .*`causalkd verify RUN` writes one"):
        attribute(path)
    assert not RunFolder(path).attributions.exists()


def test_an_untrained_student_has_its_student_s_own_configuration(attributed: RunFolder) -> None:
    """Of equal depth and width, but not alike otherwise."""
    students = TrainedRun.load(attributed.path).students
    students[1].model.model.config.intermediate_size = 24
    sizes: list[int] = []

    def measured(name: str, model: HookedModel) -> ModelAttributions:
        sizes.append(model.model.config.intermediate_size)
        return ModelAttributions((), Faithfulness(*torch.zeros(5, 1, 1)))

    own, _, other, untrained = (attributions._explained(students[:2], measured, 0), *sizes)[1:]
    assert own != other == untrained == 24
