"""The numbers of the quickstarts stay what they are, whatever is moved or renamed."""

import copy
import json
from typing import Any

import pytest

from tests.reference_report import FOLDER, NAMES, TOLERANCE, check
from tests.shrunk import FinishedRun


@pytest.fixture
def report(quickstart: FinishedRun) -> Any:
    return json.loads(quickstart.folder.report.read_text())


def test_the_quickstart_gives_the_numbers_of_its_reference(report: Any) -> None:
    check("quickstart", report)


def test_the_quickstart_of_language_models_gives_the_numbers_of_its_reference(quickstart_lm: FinishedRun) -> None:
    check("quickstart-lm", json.loads(quickstart_lm.folder.report.read_text()))


def test_references_are_small() -> None:
    assert all((FOLDER / f"{name}.json").stat().st_size < 100_000 for name in NAMES)


def test_other_numbers_and_other_keys_are_seen(report: Any) -> None:
    def changed(**cells: Any) -> Any:
        other = copy.deepcopy(report)
        other["interchange"][2] |= cells
        return other

    row = report["interchange"][2]
    check("quickstart", changed(kl=row["kl"] * (1 + TOLERANCE / 2)))
    with pytest.raises(AssertionError, match=r"interchange\.kl"):
        check("quickstart", changed(kl=row["kl"] * (1 + 2 * TOLERANCE)))
    check("quickstart", changed(iia=row["iia"] + 1 / row["pairs"]))  # one prediction, at a tie
    with pytest.raises(AssertionError, match="differs by more than one prediction"):
        check("quickstart", changed(iia=row["iia"] - 2 / row["pairs"]))
    with pytest.raises(AssertionError, match=r"interchange\.p_value"):
        check("quickstart", changed(p_value=0.25))
    renamed = copy.deepcopy(report)
    for each in renamed["interchange"]:
        each["strictness"] = each.pop("specificity")
    with pytest.raises(AssertionError):
        check("quickstart", renamed)
