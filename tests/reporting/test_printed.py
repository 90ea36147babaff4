"""What the command line prints of a report ends with its files and has all of its tables."""

import dataclasses
from pathlib import Path

from causalkd.reporting.printed import printed
from causalkd.reporting.terminal import as_text
from tests.example_maps import example_results
from tests.example_report import example_report


def test_the_text_comes_first_and_the_files_last() -> None:
    told = printed(example_report(), Path("runs/x"))
    assert told.startswith(as_text(example_report()))
    assert told.splitlines()[-2:] == ["runs/x/report.json", "runs/x/report.html"]


def test_attribution_maps_are_told() -> None:
    report = dataclasses.replace(example_report(), attribution=example_results())
    assert len(printed(report, Path("x"))) > len(printed(dataclasses.replace(report, attribution=None), Path("x")))
