import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from causalkd.verification.results.attribution import AttributionResults, Estimate
from tests.example_maps import example_distances, example_results


def test_a_file_gives_back_the_results(tmp_path: Path) -> None:
    results = example_results()
    nothing = replace(results.agreement[0], cosine=Estimate(None, None, None, 0), overlap_chance=None)
    results = replace(results, agreement=(nothing, *results.agreement[1:]))
    path = tmp_path / "results.json"
    for each in (results, replace(results, map_distances=example_distances())):
        path.write_text(each.to_json(), encoding="utf-8")
        assert AttributionResults.read(path) == each
    parts = ["settings", "examples", "agreement", "faithfulness", "completeness"]
    rarely = ["teaching", "map_distances", "made_of"]
    assert list(asdict(results)) == [*parts, *rarely]
    path.write_text(results.to_json(), encoding="utf-8")
    assert list(json.loads(path.read_text())) == parts, "what was not measured is left out"


def test_no_file_and_another_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert AttributionResults.read(path) is None
    path.write_text("{}")
    with pytest.raises(
        ValueError, match="holds no attribution results of this version; make them again with `causalkd"
    ):
        AttributionResults.read(path)
