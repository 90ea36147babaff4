from pathlib import Path

from typer.testing import CliRunner

from analysis.pages.study_page import study_page, write_page
from causalkd.cli import app
from causalkd.reporting.study_table import study_table
from tests.example_study import FAILURE, example_results, example_study


def test_the_page_holds_table_differences_figure_and_failures(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    page = study_page(study_table(study, example_results(study, failing=True)))
    assert "<svg" in page and "0.710 ± 0.010" in page and "Differences, paired" in page
    assert FAILURE.replace("'", "&#39;") in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_a_study_without_a_result_has_a_page_without_a_figure(tmp_path: Path) -> None:
    study = example_study(tmp_path, seeds=[0], variants={"one": {}})
    results = example_results(example_study(tmp_path, seeds=[0]), failing=True)[-1:]
    write_page(study_table(study, results), tmp_path)
    assert "<svg" not in (tmp_path / "study.html").read_text() and not (tmp_path / "study.svg").exists()


def test_the_same_table_gives_the_same_files(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    table = study_table(study, example_results(study))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_page(table, tmp_path / name)
    for file in ("study.html", "study.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_command_sums_up_what_there_is(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    study.folder.mkdir()
    result = CliRunner().invoke(app, ["study", str(tmp_path / "study.yaml"), "--table"])
    assert result.exit_code == 0, result.output
    assert "it is not finished" in result.stdout and str(study.folder / "study.html") in result.stdout
    assert "it is not finished" in (study.folder / "study.html").read_text()
    assert {"table.json", "table.csv", "table.md"} <= {path.name for path in study.folder.iterdir()}
