"""The files of a study's table."""

import csv
from pathlib import Path

import pytest

from causalkd.reporting.study_formats import table_csv, table_markdown, write_table
from causalkd.reporting.study_power import planned_differences
from causalkd.reporting.study_table import study_table
from causalkd.reporting.study_types import Choice, Tried
from tests.example_study import ACCURACIES, FAILURE, example_results, example_study


def test_the_csv_has_a_number_a_line(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    lines = list(csv.DictReader(table_csv(study_table(study, example_results(study))).splitlines()))
    (mean,) = (line for line in lines if (line["kind"], line["method"], line["measure"]) == ("mean", "one", "accuracy"))
    assert float(mean["value"]) == pytest.approx(sum(ACCURACIES["one"]) / 3) and mean["seeds"] == "3"
    (difference,) = (line for line in lines if (line["kind"], line["measure"]) == ("difference", "accuracy"))
    assert float(difference["low"]) < float(difference["value"]) < float(difference["high"])
    assert difference["found"] == "True"
    assert {"block_forwards", "steps"} <= {line["measure"] for line in lines}


def test_the_markdown_has_means_differences_and_failures(tmp_path: Path) -> None:
    study = example_study(tmp_path, budget={"block_forwards": 2e6})
    text = table_markdown(study_table(study, example_results(study, failing=True)))
    assert "Equal compute: 2e+06 block-forwards for each student." in text
    assert "| one | 3 | 0.710 ± 0.010 |" in text
    assert "| other | 2 (1 without a result) |" in text and FAILURE in text
    assert "## Differences, paired over seeds" in text


def test_what_is_no_markdown_is_shown_as_it_is(tmp_path: Path) -> None:
    study = example_study(tmp_path, grid={"students.*.training.freeze": [["*a|b*"]]})
    text = table_markdown(study_table(study, example_results(study)))
    assert r"| method | students.\*.training.freeze | seeds |" in text and r"| one | ['\*a\|b\*'] | 3 |" in text


def test_a_setting_has_a_column_of_its_own(tmp_path: Path) -> None:
    study = example_study(tmp_path, grid={"training.learning_rate": [0.001]})
    text = table_markdown(study_table(study, example_results(study)))
    assert "| method | training.learning_rate | seeds |" in text and "| one | 0.001 | 3 |" in text


def test_all_files_are_written(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    write_table(study_table(study, example_results(study)), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"table.json", "table.csv", "table.md", "seconds.csv"} <= names
    assert len((tmp_path / "seconds.csv").read_text().splitlines()) == 1 + 6


def test_what_was_chosen_and_planned_stands_in_every_form(tmp_path: Path) -> None:
    study = example_study(tmp_path, power={"sd": {"accuracy": 0.02, "f1": 0.5}})
    tried = (Tried({"training.batch_size": 4}, (0.5, 0.7), 2, 1234), Tried({"training.batch_size": 8}, (0.9,), 2))
    choice = Choice("one", "only", "one", {}, "accuracy", tried, tried[0].fields)
    planned = planned_differences(study, None)
    table = study_table(study, example_results(study), [choice], planned)
    text = table_markdown(table)
    assert "| one |  | training.batch_size = 4 | accuracy | 0.600 ± 0.141 | 2 of 2 | 1,234 | yes |" in text
    assert "| one |  | training.batch_size = 8 | accuracy | 0.900 | 1 of 2 | – | no |" in text
    smallest = f"{planned[0].smallest:.3f}"
    assert f"| any | any |  | accuracy | given | 0.020 | 3 | {smallest} | – | – |" in text
    assert "| f1 (not measured) | given |" in text and "| p, rows | planned | finding |" in text
    lines = list(csv.DictReader(table_csv(table).splitlines()))
    assert all(None not in line and None not in line.values() for line in lines)
    settings = [(line["setting"], line["value"], line["found"]) for line in lines if line["kind"] == "tried"]
    assert settings == [("training.batch_size = 4", "0.6", "True"), ("training.batch_size = 8", "0.9", "False")]
    (difference,) = (line for line in lines if (line["kind"], line["measure"]) == ("difference", "accuracy"))
    assert float(difference["planned"]) == planned[0].smallest


@pytest.mark.parametrize(("rate", "said"), [(0.1, "| yes |"), (0.2, "| yes (at another training.learning_rate) |")])
def test_a_finding_at_another_setting_says_so(rate: float, said: str, tmp_path: Path) -> None:
    study = example_study(tmp_path)
    chosen = [
        Choice(name, "only", name, {}, "accuracy", (), {"training.learning_rate": value, "training.batch_size": 4})
        for name, value in (("one", 0.1), ("other", rate))
    ]
    lines = table_markdown(study_table(study, example_results(study), chosen)).splitlines()
    (finding,) = (line for line in lines if line.startswith("| other | one | accuracy |"))
    assert finding.endswith(said)
