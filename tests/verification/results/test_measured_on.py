"""What a report was measured on stands in it, and is said."""

import json
from dataclasses import replace

from causalkd.reporting.run_comparison import compare
from causalkd.reporting.tables import held_out
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.measured_on import MeasuredOn
from causalkd.verification.results.report import VerificationReport
from tests.example_report import example_report


def test_it_is_written_read_and_said() -> None:
    report = example_report()
    assert "measured_on" not in json.loads(report.to_json()) and held_out(report) == []
    rows = MeasuredOn("dev.tsv", 60, "0123456789abcdef")
    known = replace(report, measured_on=rows)
    assert VerificationReport.from_json(known.to_json()) == known
    assert held_out(known) == ["Held out: 60 rows of dev.tsv (sha256 0123456789ab)."]
    changed = replace(known, measured_on=replace(rows, changed=("heldout: other rows",)))
    assert verdict(known) == verdict(report) and any("heldout: other rows" in line for line in verdict(changed))
    assert "a is not measured as it was made: heldout: other rows." in compare({"a": changed, "b": known})
    assert "held-out rows: a has 60 of dev.tsv" in compare({"a": changed, "b": report})
