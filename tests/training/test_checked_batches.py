"""Labels and tokens that the models do not have are refused in words, before any objective reads them."""

from typing import Any

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.objectives.adkd import ADKD
from causalkd.training.checked_batches import CheckedBatches
from tests.tiny import PAD
from tests.training.small import examples, models

TEACHER, STUDENT = models()


def _batch(**changed: Any) -> Batch:
    rows = [{**row, **changed} for row in examples(4)]
    make = CheckedBatches.of(PairingCollator(rows, {}, PAD), STUDENT, TEACHER)
    return Batch.from_tensors(make(list(ExampleSet(rows))))


def test_class_labels_are_one_for_each_row_whatever_they_were_given_as() -> None:
    assert torch.equal(_batch(label=[2]).labels, _batch(label=2).labels)  # type: ignore[arg-type]
    unlabelled = _batch(label=-100)
    assert (unlabelled.labels == -100).all()  # type: ignore[union-attr]
    assert not ADKD(TEACHER, STUDENT, views="label").query.valid("classification", unlabelled).any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"label": 3}, "the label 3, and the head has the labels 0 to 2; correct it, or give what has no label -100"),
        ({"label": -1}, "the label -1, and the head has"),
        ({"label": 1.0}, "labels are of type torch.float32; a class or a token is a whole number"),
        ({"label": "1"}, "labels such as '1' are no numbers"),
        ({"label": None}, "labels such as None are no numbers"),
        ({"label": (1, 0, 2)}, r"class labels have shape \(4, 3\)"),
        ({"input_ids": [4, 200]}, "the token 200, and the model that reads it has embeddings of the tokens 0 to 96"),
    ],
)
def test_what_the_models_do_not_have_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _batch(**changed)
