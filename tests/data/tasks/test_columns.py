import pytest
from datasets import Dataset

from causalkd.data.tasks.columns import columns_of
from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.guess import guess_columns
from causalkd.data.tasks.kinds import Kind


def table(*columns: str) -> Table:
    return Table(Dataset.from_dict({name: [f"the fox {name} ran"] for name in columns}), "a.csv")


@pytest.mark.parametrize("kind", ["causal_lm", "masked_lm"])
def test_a_language_model_reads_one_text_and_no_pair(kind: Kind) -> None:
    assert columns_of(kind, {}, table("question", "text")) == {"text": ("text",)}
    pair = table("premise", "hypothesis")
    with pytest.raises(ValueError, match=r"no column is named as `text` usually is"):
        columns_of(kind, {}, pair)
    assert guess_columns(pair, kind) == {"text": "premise"}
    with pytest.raises(ValueError, match=r"`columns\.text` names 2 columns, more than the role can have"):
        columns_of(kind, {"text": ["premise", "hypothesis"]}, pair)


def test_a_pair_or_one_text_is_named_where_both_are_there() -> None:
    both = table("premise", "hypothesis", "text", "label")
    with pytest.raises(ValueError, match=r"the text may be 'text' or the pair 'premise' and 'hypothesis': name it"):
        columns_of("classification", {}, both)
    found = columns_of("classification", {"text": ["premise", "hypothesis"]}, both)
    assert found == {"text": ("premise", "hypothesis"), "label": ("label",)}
    with pytest.raises(ValueError, match=r"names \['body'\], which are not there; 'text' would fill two roles, so"):
        columns_of("classification", {"text": ["body", "text"], "label": "text"}, both)
