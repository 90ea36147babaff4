import dataclasses
import json

import pytest

from causalkd.verification.results.report import StudentResult, VerificationReport
from tests.example_maps import example_results
from tests.example_report import example_report

ROW_KEYS = (
    "student baseline pair component unit head teacher_layer student_layer aligned reachable iia iia_low iia_high "
    "iia_effective effective_pairs pairs kl"
).split()


@pytest.fixture(scope="module")
def report():
    return example_report()


def test_json_has_the_documented_keys(report):
    data = json.loads(report.to_json())
    assert {"teacher", "students", "alignment", "interchange", "environment"} <= set(data)
    assert {"name", "objectives", "seed", "task_metric", "agreement"} <= set(data["students"][0])
    assert list(data["interchange"][0])[: len(ROW_KEYS)] == ROW_KEYS
    assert {"versions", "attention", "dtype", "seed", "threads"} <= set(data["environment"])
    assert data["alignment"]["pairs"][0]["teacher"][0]["layer"] == 1


def test_json_round_trip_loses_nothing(report, tmp_path):
    assert VerificationReport.from_json(report.to_json()) == report
    report.write(tmp_path / "report.json")
    assert VerificationReport.read(tmp_path / "report.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_rows_without_the_later_keys_are_read(report):
    data = json.loads(report.to_json())
    data["interchange"] = [{key: row[key] for key in ROW_KEYS} for row in data["interchange"]]
    del data["differences"]
    read = VerificationReport.from_json(json.dumps(data))
    assert read.interchange[0].seed is None and read.differences == ()


def test_maps_are_a_part_that_may_be_absent(report):
    assert "attribution" not in json.loads(report.to_json())
    whole = dataclasses.replace(report, attribution=example_results(("kd",)))
    assert VerificationReport.from_json(whole.to_json()) == whole
    with pytest.raises(ValueError, match=r"rows name the students \['adkd'\]"):
        dataclasses.replace(report, attribution=example_results(("kd", "adkd")))


def test_every_fault_of_a_file_is_named_at_once(report, tmp_path):
    data = json.loads(report.to_json())
    data["intercange"] = []
    del data["students"][1]["seed"]
    data["interchange"][2]["iia"] = "high"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        VerificationReport.read(path)
    message = str(error.value)
    assert "report.json is not a verification report of this version" in message
    assert "students[1].seed" in message and "interchange[2].iia" in message and "intercange" in message
    assert "`causalkd verify`" in message


def test_no_file_and_no_json_are_said_plainly(tmp_path):
    with pytest.raises(ValueError, match=r"there is no report at .*nowhere\.json"):
        VerificationReport.read(tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match="is not a verification report"):
        VerificationReport.from_json('{"teacher": ')


def test_a_file_that_is_no_text_is_said_plainly(tmp_path):
    (tmp_path / "report.json").write_bytes(b'{"name": "\xa7"}')
    with pytest.raises(ValueError, match=r"report\.json is not text: 'utf-8' codec .*; measure the run again with"):
        VerificationReport.read(tmp_path / "report.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(report, tmp_path):
    path = tmp_path / "report.json"
    report.write(path)
    before = path.read_bytes()
    spoiled = dataclasses.replace(
        report, teacher=dataclasses.replace(report.teacher, name="\ud800")
    )  # which no file holds
    with pytest.raises(ValueError, match="surrogates"):
        spoiled.write(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_rows_of_an_unknown_student_are_refused(report):
    with pytest.raises(ValueError, match=r"rows name the students \['diito', 'kd'\], but the report holds \['other'\]"):
        dataclasses.replace(report, students=(StudentResult("other", {}, 0, None, None),))
