"""What a recipe passes on to transformers keeps transformers' names and defaults."""

import pytest
from pydantic import ValidationError
from transformers import TrainingArguments

from causalkd.recipe.passed_on import LoadingPart, LoraPart, OptimizerPart


@pytest.mark.parametrize("name", ["adam_beta1", "adam_beta2", "adam_epsilon"])
def test_defaults_are_those_of_transformers(name: str) -> None:
    assert OptimizerPart.model_fields[name].default == TrainingArguments.__dataclass_fields__[name].default


def test_a_list_is_taken_as_it_is_written_in_yaml() -> None:
    assert OptimizerPart.model_validate({"freeze": ["*embeddings*"]}).freeze == ("*embeddings*",)
    assert LoraPart.model_validate({"targets": ["q_proj"]}).targets == ("q_proj",)


@pytest.mark.parametrize(("part", "given"), [
    (OptimizerPart, {"adam_beta2": 1.0}), (OptimizerPart, {"adam_epsilon": 0.0}), (LoadingPart, {"dtype": "int4"}),
])  # fmt: skip
def test_what_cannot_be_is_refused(part: type, given: dict) -> None:
    with pytest.raises(ValidationError):
        part.model_validate(given)
