"""A small corpus of mutated inputs: no traceback, no endless work, no message longer than a page. All: `__main__`."""

from pathlib import Path

import pytest

from tests.mutations.tries import KINDS, Inputs, Try, fault_of, faults
from tests.shrunk import FinishedRun, planted_model

CORPUS: dict[str, tuple[int, ...]] = {
    "recipe": (0, 1, 2, 3),
    "alignment": (0, 1, 2, 3, 4, 5),
    "data": tuple(range(10)),
    "checkpoint": (0, 1, 2, 3),
    "run": (0, 1, 2),
    "arguments": tuple(range(12)),
}
"""Seeds by kind; those that once found a fault stay."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutated") / "model"
    planted_model(num_hidden_layers=2).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", CORPUS)
def test_mutated_inputs_end_with_a_word(
    kind: str, quickstart: FinishedRun, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = Inputs(tmp_path, quickstart.folder.path, checkpoint)
    assert faults(inputs, kind, iter(CORPUS[kind])) == []


def test_every_kind_has_a_corpus_and_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CORPUS.keys() == KINDS.keys()
    monkeypatch.setattr("causalkd.recipe.recipe.shipped_recipes", lambda: 1 / 0)
    assert "ZeroDivisionError" in str(fault_of(Try("broken", ["recipes"])))
