"""What a run reports beside its interchange rows."""

from pathlib import Path

from causalkd.data.synthetic.nli import VARIABLES
from causalkd.data.synthetic.stories import GROUPS
from causalkd.data.synthetic.stories import VARIABLES as STORY_VARIABLES
from causalkd.reporting.markdown import as_markdown
from causalkd.reporting.model_card import model_card
from causalkd.runs.distill import write_pages
from causalkd.runs.folder.layout import RunFolder
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import FinishedRun


def test_every_model_is_held_against_the_planted_causal_model(quickstart: FinishedRun) -> None:
    rows = VerificationReport.read(quickstart.folder.report).ground_truth
    layers = {("teacher", None): 4, ("kd", 0): 2, ("diito", 0): 2}
    assert {(r.model, r.seed, r.variable, r.layer) for r in rows} == {
        (*model, variable, layer) for model, depth in layers.items() for variable in VARIABLES for layer in range(depth)
    }
    assert all(r.pairs == 40 and r.effective_pairs <= 40 for r in rows)


def test_causal_lms_are_held_against_the_stories(quickstart_lm: FinishedRun) -> None:
    rows = VerificationReport.read(quickstart_lm.folder.report).ground_truth
    layers = {("teacher", None): 4, ("kd", 0): 2, ("atkd", 0): 2, ("diito", 0): 2}
    assert {(r.model, r.seed, r.variable, r.layer) for r in rows} == {
        (*model, variable, layer)
        for model, depth in layers.items()
        for variable in (*GROUPS, *STORY_VARIABLES)
        for layer in range(depth)
    }
    assert all(r.pairs == 40 and r.pair == "facts" for r in rows)
    page = (quickstart_lm.folder.path / "report.html").read_text()
    assert "own causal model" in page and "located 4" in page


def test_a_page_never_tells_of_an_earlier_report(quickstart: FinishedRun, tmp_path: Path) -> None:
    report, folder = VerificationReport.read(quickstart.folder.report), RunFolder(tmp_path)
    folder.metrics.write_text("")
    write_pages(lambda *_: "a page", report, folder)
    assert {path.name for path in tmp_path.glob("report.*")} == {"report.md", "report.html"}
    write_pages(None, report, folder)
    assert [path.name for path in tmp_path.glob("report.*")] == ["report.md"]


def test_the_report_is_there_for_people_and_every_student_has_a_card(quickstart: FinishedRun) -> None:
    report = VerificationReport.read(quickstart.folder.report)
    assert (quickstart.folder.path / "report.md").read_text() == as_markdown(report)
    card = (quickstart.folder.student(quickstart.recipe, "diito", 0) / "README.md").read_text()
    assert card == model_card(report, report.students[1])
