"""What the tests of the objects of a recipe share: the smallest recipe, and its data."""

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.data import Data, build_data
from tests.shrunk import SHRUNK, TINY


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.load("quickstart", [*SHRUNK["quickstart"], *TINY])


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Data:
    return build_data(recipe.data, recipe.teacher)
