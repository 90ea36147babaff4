"""Each shipped recipe, shrunk and run twice with one seed and one thread, gives the same bits."""

from pathlib import Path

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs.distill import distill
from tests import stand_ins
from tests.shrunk import OF_HUB_MODELS, SHRUNK
from tests.soak.soak import contents

_REAL = [pytest.mark.needs_data, pytest.mark.needs_weights]
NAMES = [pytest.param(name, marks=_REAL if "minilm" in name else ()) for name in SHRUNK]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_gives_the_same_bits_twice(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, metrics, report and every other file; pages, costs and what else holds times are left out of it."""
    changes = [*SHRUNK[name]]
    if name in OF_HUB_MODELS:
        monkeypatch.setenv("CAUSALKD_DATA", str(stand_ins.data(tmp_path)))
        changes = stand_ins.changes(name, tmp_path)
    run, found = tmp_path / "run", []
    for number in range(2):
        distill(Recipe.load(name, [*changes, f"output={run}"]))
        found.append(contents(run))
        run.rename(tmp_path / f"run {number}")
    first, second = found
    assert first.keys() == second.keys() and any(path.endswith(".safetensors") for path in first)
    assert [path for path in first if first[path] != second[path]] == []
