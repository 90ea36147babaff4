import pytest
from pydantic import ValidationError

from causalkd.alignment.pyvene.extra_fields import ConfigRest


def test_what_is_carried_comes_back_and_nothing_else_is_taken():
    given = {"model_type": "transformers.BertModel", "sorted_keys": ("a", "b"), "intervention_dimensions": (16, None)}
    rest = ConfigRest(**given)
    assert rest.model_dump(exclude_defaults=True) == given and ConfigRest() == ConfigRest.model_validate({})
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        ConfigRest.model_validate({"mode": "parallel"})
