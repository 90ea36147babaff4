"""The objectives a recipe can name: what they refuse, and that each can be built."""

from typing import Any

import pytest
from pydantic import ValidationError

from causalkd.recipe.objectives import OBJECTIVES, DIITOPart, ObjectivesPart
from causalkd.recipe.part import Part
from causalkd.registries import imported

REFUSED: list[tuple[type[Part], dict[str, Any], str]] = [
    (ObjectivesPart, {}, "name at least one objective of weight above 0: task, response_kd, atkd, dkd, hidden_kd"),
    (ObjectivesPart, {"dkd": {"weight": 0}}, "name at least one objective of weight above 0"),
    (DIITOPart, {"weight": -1}, "greater than or equal to 0"),
]


@pytest.mark.parametrize(("part", "given", "message"), REFUSED)
def test_what_a_part_refuses(part: type[Part], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        part.model_validate(given)
    assert message in str(caught.value)


def test_the_chosen_objectives_are_those_that_are_named() -> None:
    part = ObjectivesPart.model_validate({"diito": {"weight": 2}, "task": {}})
    assert list(part.chosen()) == ["task", "diito"]
    assert part.chosen()["diito"].weight == 2 and part.chosen()["diito"].temperature == 2.0


def test_every_objective_can_be_named_and_built() -> None:
    assert list(ObjectivesPart.model_fields) == list(OBJECTIVES)
    chosen = ObjectivesPart.model_validate({key: {} for key in OBJECTIVES}).chosen()
    assert all(part.weight == 1.0 and type(part) is OBJECTIVES[key].settings for key, part in chosen.items())
    assert all(callable(imported(entry.build)) for entry in OBJECTIVES.values())
    assert [key for key, entry in OBJECTIVES.items() if entry.interchanges] == ["diito", "diito_hidden"]
