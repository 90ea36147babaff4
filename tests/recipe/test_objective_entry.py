"""What the entries of the table say of their objectives, held against the objectives themselves."""

import inspect

import pytest

from causalkd.recipe.objectives import OBJECTIVES
from causalkd.registries import imported


@pytest.mark.parametrize("key", OBJECTIVES)
def test_an_objective_takes_its_settings_and_what_its_entry_names_and_nothing_else(key: str) -> None:
    entry = OBJECTIVES[key]
    settings = set(entry.settings.model_fields) - {"weight"}
    assert not settings & set(entry.takes)
    assert set(inspect.signature(imported(entry.build)).parameters) == settings | set(entry.takes)
