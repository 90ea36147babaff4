"""Labels and tokens that the models do not have are refused in words, before any objective reads them."""

from typing import Any

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.objectives.adkd import ADKD
from causalkd.training.checked_batches import CheckedBatches
from tests.models.small import hooked
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
        ({"label": (1, 0, 2)}, r"labels of classification have shape \(4, 3\), and \(4,\) is needed"),
        ({"input_ids": [4, 200]}, "the token 200, and the model that reads it has embeddings of the tokens 0 to 96"),
    ],
)
def test_what_the_models_do_not_have_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _batch(**changed)


@pytest.mark.parametrize(
    ("task", "label", "said"),
    [
        ("multi_label", [2, 0, 1], "the label 2, and each label of a row is 0 or 1"),
        ("multi_label", [0, 1], r"shape \(2, 2\), and \(2, 3\) is needed"),
        ("question_answering", [0, 9], "the label 9, and the row has the tokens 0 to 3"),
        ("token_classification", 1, r"shape \(2,\), and \(2, 4\) is needed"),
        ("token_classification", [0, 1, 2, 3], "the label 3, and the head has the labels 0 to 2"),
    ],
)
def test_labels_of_every_head_are_checked(task: Any, label: Any, said: str) -> None:
    student = hooked("bert", task, "student")
    batch = {"inputs": {"input_ids": torch.ones(2, 4, dtype=torch.long)}, "labels": torch.tensor([label] * 2)}
    with pytest.raises(ValueError, match=said):
        CheckedBatches.of(lambda rows: batch, student, None)([])


def test_labels_of_any_whole_number_are_read_and_a_foreign_batch_is_left_to_its_reader() -> None:
    batch = {
        "inputs": {"input_ids": torch.ones(2, 4, dtype=torch.long)},
        "labels": torch.tensor([0, 2], dtype=torch.int32),
    }
    assert CheckedBatches.of(lambda rows: batch, STUDENT, TEACHER)([])["labels"].dtype == torch.long
    flat = {"input_ids": torch.ones(2, 4), "labels": torch.tensor([0, 2])}
    assert CheckedBatches.of(lambda rows: flat, STUDENT, TEACHER)([]) == flat
