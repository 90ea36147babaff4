from dataclasses import asdict, replace
from pathlib import Path

import pytest

from causalkd.verification.attribution import AttributionResults, Estimate
from tests.example_maps import example_results


def test_a_file_gives_back_the_results(tmp_path: Path) -> None:
    results = example_results()
    nothing = replace(results.agreement[0], cosine=Estimate(None, None, None, 0), overlap_chance=None)
    results = replace(results, agreement=(nothing, *results.agreement[1:]))
    path = tmp_path / "results.json"
    path.write_text(results.to_json(), encoding="utf-8")
    assert AttributionResults.read(path) == results
    assert list(asdict(results)) == ["settings", "examples", "agreement", "faithfulness", "completeness", "teaching"]


def test_no_file_and_another_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert AttributionResults.read(path) is None
    path.write_text("{}")
    with pytest.raises(
        ValueError, match="holds no attribution results of this version; write them anew with `causalkd"
    ):
        AttributionResults.read(path)
