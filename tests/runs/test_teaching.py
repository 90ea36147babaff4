"""The teaching modes of a run of causal LMs: what is measured, where it is reported, and that it stays."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from causalkd.recipe.objectives import ObjectivesPart
from causalkd.runs import distill as runs
from causalkd.runs.attribute import attribute
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.teaching import _hard_fraction, _logs_both, teaching_of
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import FinishedRun

ANSWERS = 4


@pytest.fixture(scope="module")
def trained(quickstart_lm: FinishedRun) -> TrainedRun:
    return TrainedRun.load(quickstart_lm.folder.path)


def test_modes_are_of_training_texts_and_accuracy_of_held_out_pairs(trained: TrainedRun) -> None:
    found = teaching_of(trained, [3, 60])
    assert len(found.texts) == 2 and all(len(text.position) == 33 for text in found.texts)
    words = found.texts[0].tokens
    assert words[0] == "[BOS]" and " ".join(words[1:-1]) == trained.data.train.examples[3]["text"]
    tokens = found.tokens
    assert tokens.hard.sum() >= 33 and (tokens.uncertainty[tokens.hard].min() >= tokens.uncertainty[~tokens.hard]).all()
    assert [(each.student, each.seed) for each in found.students] == [("kd", 0), ("atkd", 0), ("diito", 0)]
    pairs = trained.recipe.verification.pairs
    for each in found.students:
        assert each.target >= 0 and each.diversity >= each.suppressed > 0
        assert sum(score.tokens for score in each.accuracy) == ANSWERS * pairs
        assert [score.mode for score in each.accuracy] == ["easy", "hard"]
    assert found.logged == ("kd", "atkd")


def test_the_share_of_hard_tokens_is_the_students(trained: TrainedRun) -> None:
    def run(*fractions: float | None) -> TrainedRun:
        parts = [
            part.model_copy(update={"objectives": ObjectivesPart.model_validate(given)})
            for part, fraction in zip(trained.recipe.students, fractions, strict=False)
            for given in [{"atkd": {"hard_fraction": fraction}} if fraction else {"task": {}}]
        ]
        return replace(trained, recipe=trained.recipe.model_copy(update={"students": tuple(parts)}))

    found = teaching_of(replace(run(None, 0.25), students=trained.students[:1]), [3, 60])
    assert found.hard_fraction == 0.25
    assert found.tokens.hard.mean() == pytest.approx(0.25, abs=2 / 66)
    assert _hard_fraction(run(0.25, 0.75).recipe) == _hard_fraction(run(None).recipe) == 0.5


def test_a_share_needs_both_terms_as_forward_kl_has_them() -> None:
    kl, tkd = {"temperature": 1.0, "tokens": "labelled"}, {"weight": 0, "alpha": 1.0, "beta": 0.0}
    cases = ((kl, tkd, True), (kl | {"weight": 0}, tkd | {"weight": 2}, True), (kl | {"tokens": "all"}, tkd, False))
    cases += ((kl, {}, False), (kl | {"divergence": "reverse_kl"}, tkd, False))
    for of_kl, of_dkd, logged in cases:
        part = ObjectivesPart.model_validate({"response_kd": of_kl, "dkd": of_dkd})
        assert _logs_both(part) == logged, part
    assert not _logs_both(ObjectivesPart.model_validate({"response_kd": kl}))


def test_attribute_adds_them_to_the_report_where_they_stay(quickstart_lm: FinishedRun, tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(quickstart_lm.folder.path, tmp_path / "run")))
    pages: list[str] = []

    def page(report: VerificationReport, *_: object) -> str:
        pages.append("modes" if report.attribution and report.attribution.teaching else "none")
        return pages[-1]

    report = attribute(folder.path, limit=2, steps=1, portions=2, page=page)
    assert report.attribution is not None and report.attribution.teaching is not None
    assert "## The teaching mode of each token" in (folder.path / "report.md").read_text()
    again = runs.verify(folder.path, page=page)
    assert again.attribution == report.attribution and pages == ["modes", "modes"]
