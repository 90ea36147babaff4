"""What the command line prints of a report: the text, the tables of its attribution maps, and last its files."""

import dataclasses
from pathlib import Path

from causalkd.reporting.attribution_tables import as_markdown
from causalkd.reporting.printed import printed
from causalkd.reporting.terminal import as_text
from tests.example_maps import example_distances, example_results
from tests.example_report import example_report
from tests.example_teaching import example_teaching

KD = ("kd",)


def test_the_text_comes_first_and_the_files_last() -> None:
    told = printed(example_report(), Path("runs/x"))
    assert told.startswith(as_text(example_report()))
    assert told.splitlines()[-3:] == ["", "runs/x/report.json", "runs/x/report.html"] and "\n\n\n" not in told


def test_tables_of_maps_distances_and_teaching_modes_are_told() -> None:
    report = example_report()
    results = example_results(KD, seeds=1)
    maps = dataclasses.replace(report, attribution=results)
    assert as_markdown(maps) in printed(maps, Path("x"))
    distances = dataclasses.replace(results, map_distances=example_distances(KD, seeds=1))
    teaching = dataclasses.replace(results, teaching=example_teaching(KD, seeds=1))
    for more in (distances, teaching):
        assert len(printed(dataclasses.replace(report, attribution=more), Path("x"))) > len(printed(maps, Path("x")))
