import base64
import csv
import dataclasses

from analysis.pages.downloads import downloads
from causalkd.verification.results.rows import GroundTruthRow
from tests.example_maps import example_distances, example_results
from tests.example_report import example_metrics, example_report


def _read(download):
    head, _, body = download.address.partition(",")
    assert head == "data:text/csv;charset=utf-8;base64"
    return list(csv.DictReader(base64.b64decode(body).decode().splitlines()))


def test_every_number_of_the_report_is_in_a_file():
    report = example_report()
    found = {each.name: _read(each) for each in downloads(report, example_metrics(report))}
    assert list(found) == ["interchange.csv", "differences.csv", "training.csv"]
    assert len(found["interchange.csv"]) == len(report.interchange)
    row, line = report.interchange[7], found["interchange.csv"][7]
    assert (line["baseline"], float(line["iia"])) == (row.baseline, row.iia)
    assert line["iia_effective"] == ("" if row.iia_effective is None else str(row.iia_effective))
    # Terms that one student lacks leave their column empty.
    assert {bool(each["term/diito"]) for each in found["training.csv"]} == {True, False}


def test_what_a_report_lacks_has_no_file_and_baselines_have_columns():
    report = example_report(seeds=1)
    row = GroundTruthRow(
        *("teacher", None, "verb", "block_output", 0, "all", 0.5, 0.5, 0.4, 0.6, 9, 9), {"majority_class": 0.25}, 0.1
    )
    named = {each.name: each for each in downloads(type(report)(**{**vars(report), "ground_truth": (row,)}))}
    assert "training.csv" not in named
    assert _read(named["ground-truth.csv"])[0]["baselines.majority_class"] == "0.25"


def test_maps_have_files_of_their_own():
    maps = dataclasses.replace(example_results(("kd",), seeds=1), map_distances=example_distances(("kd",), seeds=1))
    found = {each.name: _read(each) for each in downloads(dataclasses.replace(example_report(), attribution=maps))}
    files = ["agreement.csv", "faithfulness.csv", "completeness.csv", "map-distances.csv"]
    assert list(found)[-4:] == files
    assert [len(found[name]) for name in files] == [
        len(rows) for rows in (maps.agreement, maps.faithfulness, maps.completeness, maps.map_distances)
    ]
    assert float(found["agreement.csv"][0]["cosine.mean"]) == maps.agreement[0].cosine.mean
