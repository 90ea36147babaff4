import pytest
from pydantic import ValidationError

from causalkd.recipe.part import Part


class _Example(Part):
    number: float = 1.0
    """A number."""


@pytest.mark.parametrize("given", [{"number": "2"}, {"number": float("nan")}, {"other": 1}])
def test_a_part_takes_nothing_for_something_else(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _Example.model_validate(given)


def test_a_part_stays_as_it_was_read_and_says_what_its_fields_mean() -> None:
    part = _Example(number=2.0)
    with pytest.raises(ValidationError, match="frozen"):
        part.number = 3.0
    assert _Example.model_json_schema()["properties"]["number"]["description"] == "A number."
