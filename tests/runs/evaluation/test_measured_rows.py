"""A later measurement replaces an earlier one only where it was asked in the same way."""

from pathlib import Path

import pytest

from causalkd.runs.evaluation.measured_rows import merged, of_these_models, read_rows, write_rows


def test_rows_are_replaced_by_what_was_asked_in_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    assert read_rows(file) == []
    whole = {"model": "teacher", "harness": "bbh", "limit": None, "shots": None, "acc": 0.5}
    few, shots = {**whole, "limit": 6, "acc": 1.0}, {**whole, "shots": 3, "acc": 0.6}
    text = {"model": "teacher", "texts": "planted_lm", "limit": None, "perplexity": float("inf")}
    write_rows(file, [whole, few, text, {"model": "teacher", "harness": "bbh", "acc": 0.1}])
    known = read_rows(file)
    assert known == [whole, few, {**text, "perplexity": None}]  # without the row that does not say how
    assert merged(known, [shots, {**few, "acc": 0.9}]) == [whole, known[2], shots, {**few, "acc": 0.9}]
    of_old, of_new = {**whole, "weights": "a"}, {**shots, "weights": "b"}
    assert of_these_models([whole, of_old, of_new], {"teacher": "b"}) == [whole, of_new]
    file.write_text("{")
    with pytest.raises(ValueError, match=r"evaluation.json is damaged: .*; delete it"):
        read_rows(file)
