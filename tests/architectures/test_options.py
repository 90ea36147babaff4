"""Every way of holding a model is right: adapters, precision, vocabularies, devices, checkpointing."""

import pytest

from tests.architectures.checks import RIGHT
from tests.architectures.options import COLUMNS, OPTIONS, check_option


@pytest.mark.parametrize("name", OPTIONS)
def test_a_model_held_in_another_way_is_right(name: str) -> None:
    assert check_option(name) == dict.fromkeys(COLUMNS, RIGHT)
