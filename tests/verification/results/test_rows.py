import dataclasses

import pytest

from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.rows import GroundTruthRow, Mismatch
from tests.example_report import example_report

TRUTH = GroundTruthRow(
    "teacher", None, "verb", "block_output", 0, "all", 0.5, None, None, None, 0, 9, {"a": None}, None
)
TELLING = Mismatch("kd", 0, "all", "a b", "c d", (("a", "c"),), "x", "y", "x", "x", 0.9, 0.1, 2.0)


def test_they_survive_the_file_and_older_files_lack_them(tmp_path):
    report = dataclasses.replace(example_report(seeds=1), ground_truth=(TRUTH,), mismatches=(TELLING,))
    report.write(tmp_path / "report.json")
    assert VerificationReport.read(tmp_path / "report.json") == report
    plain = example_report(seeds=1)
    old = plain.to_json().replace(',\n "ground_truth": [],\n "mismatches": []', "")
    assert "mismatches" not in old and VerificationReport.from_json(old) == plain


def test_what_is_misspelt_is_named():
    report = dataclasses.replace(example_report(seeds=1), mismatches=(TELLING,))
    with pytest.raises(ValueError, match=r"mismatches\[0\]"):
        VerificationReport.from_json(report.to_json().replace('"intervened"', '"swapped"'))
