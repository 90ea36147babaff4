import math
from pathlib import Path

import pytest

from causalkd.data.pairs.collator import ExampleSet
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD
from tests.training.small import examples, models, trainer


def test_other_data_are_evaluated_by_their_loss_and_not_by_what_the_measure_says(tmp_path: Path) -> None:
    one = trainer(tmp_path, models(dropout=0.0))
    one._measure = lambda: {"measured": 1.0}
    assert one.evaluate()["eval_measured"] == 1.0
    metrics = one.evaluate({"test": ExampleSet(examples(8))})
    assert metrics["eval_test_loss"] > 0 and "eval_test_measured" not in metrics


def test_a_student_without_finite_weights_is_named_before_it_is_measured(tmp_path: Path) -> None:
    one = trainer(tmp_path, models(dropout=0.0))
    one._measure = lambda: pytest.fail("was measured")
    one.student.model.classifier.bias.data[0] = math.nan
    with pytest.raises(ValueError, match=r"1 weights, such as classifier.bias, are not finite. The training has diver"):
        one.evaluate()


def test_rows_without_labels_have_a_loss(tmp_path: Path) -> None:
    one = trainer(tmp_path, models(dropout=0.0), {"kd": Weighted(1.0, ResponseKD())})
    without = one.evaluate(ExampleSet([{"input_ids": row["input_ids"]} for row in examples(8)]))
    assert without["eval_loss"] == one.evaluate(ExampleSet(examples(8)))["eval_loss"] > 0
