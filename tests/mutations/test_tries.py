"""Mutated inputs: no traceback, no endless work, no message longer than a page, nothing wrong accepted silently."""

from pathlib import Path

import pytest

from tests.mutations import folders
from tests.mutations.accepted import lost
from tests.mutations.tries import KINDS, Found, Inputs, Try, fault_of, faults
from tests.shrunk import FinishedRun

CORPUS: dict[str, tuple[int, ...]] = {
    "recipe": (0, 1, 2, 3),
    "alignment": (0, 1, 2, 3, 4, 5, 138),
    "data": tuple(range(10)),
    "checkpoint": (0, 1, 2, 3),
    "run": (0, 1, 2, 47, 52, 78, 95, 221, 3165, 3283),
    "finetuned": tuple(range(10)),
    "outputs": tuple(range(10)),
    "arguments": tuple(range(12)),
}
"""Seeds by kind; what once found a fault stands below by itself."""
TRIES = 1000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.checkpoint(tmp_path_factory.mktemp("mutated"))


@pytest.fixture
def inputs(quickstart: FinishedRun, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    return Inputs(tmp_path, quickstart.folder.path, checkpoint)


@pytest.mark.parametrize("kind", CORPUS)
def test_mutated_inputs_end_with_a_word(kind: str, inputs: Inputs) -> None:
    assert faults(inputs, kind, CORPUS[kind]).faults == []


@pytest.mark.slow
def test_a_thousand_mutated_inputs_end_with_a_word(inputs: Inputs, capsys: pytest.CaptureFixture[str]) -> None:
    found = {kind: faults(inputs, kind, range(-(-TRIES // len(KINDS)))) for kind in KINDS}
    with capsys.disabled():
        print("", *(f"{kind}: {ended}" for kind, ended in found.items()), sep="\n")
    assert sum(ended.ends.total() for ended in found.values()) >= TRIES
    assert [fault for ended in found.values() for fault in ended.faults] == []


def test_every_kind_has_a_corpus_and_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CORPUS.keys() == KINDS.keys()
    monkeypatch.setattr("causalkd.recipe.recipe.shipped_recipes", lambda: 1 / 0)
    found = Found()
    assert "ZeroDivisionError" in str(fault_of(Try("broken", ["recipes"]), found))
    assert str(found) == f"1 tries (1 failed), slowest {found.slowest:.1f} s, 0 faults"


def test_a_value_that_is_read_as_another_is_seen() -> None:
    given = {"steps": True, "students": [{"layers": [0, 1]}]}
    assert lost(given, {**given, "seed": 0}) is None
    assert lost(given, {**given, "steps": 1}) == "it.steps was True and is read as 1"
    assert lost(given, {"steps": True}) == "it.students was [{'layers': [0, 1]}] and is read as 'nothing'"
    assert lost(given, {**given, "students": [{"layers": [0, 2]}]}) == "it.students[0].layers[1] was 1 and is read as 2"
