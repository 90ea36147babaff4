import pytest
from pydantic import ValidationError

from causalkd.files.strict_yaml import load_text
from causalkd.recipe.sections import DataPart

BLOCK = "{path: a.csv, kind: classification, labels: %s}"


def test_numbers_are_names_and_words_that_yaml_changes_are_refused() -> None:
    assert DataPart.model_validate(load_text(BLOCK % "[1, 2, 'no']")).labels == ("1", "2", "no")
    with pytest.raises(ValidationError, match=r"YAML reads no, yes, .* without quotes as False; write the label in q"):
        DataPart.model_validate(load_text(BLOCK % "[no, yes]"))
    with pytest.raises(ValidationError, match="valid string"):
        DataPart.model_validate(load_text(BLOCK % "[1.5, 2.5]"))
