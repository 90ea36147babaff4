"""The table of a fine-tuning names the rows, every seed, and the mean."""

from dataclasses import replace

from causalkd.reporting.finetuning import finetuning_lines
from tests.verification.results.test_finetuning import results


def test_a_row_a_seed_and_the_mean() -> None:
    lines = finetuning_lines(results({"f1": 0.5, "accuracy": 0.25}, {"f1": 0.7, "accuracy": None}))
    assert lines[0] == "minilm-l6 on mrpc: 8 examples of rows"
    assert [line.split() for line in lines if line[:1] in "01ms"][1:] == [
        ["seed", "f1", "accuracy", "steps", "seconds"],
        ["0", "0.500", "0.250", "5", "1"],
        ["1", "0.700", "–", "5", "1"],
        ["mean", "0.600", "–"],
        ["sd", "0.141", "–"],
    ]


def test_questions_are_not_counted_by_their_windows() -> None:
    found = results({"answer_f1": 0.5, "exact_match": 0.25})
    found = replace(found, split={**found.split, "predictions": 5})
    assert finetuning_lines(found)[0] == "minilm-l6 on mrpc: 5 questions in 8 windows of rows"


def test_cut_and_lost_rows_are_told() -> None:
    found = results({"f1": 0.5})
    found = replace(found, split={**found.split, "truncated": 3, "lost": 2})
    assert finetuning_lines(found)[0].endswith("rows, 3 cut to length, 2 labels without a token")
    found = replace(found, split={**found.split, "empty": 1})
    assert finetuning_lines(found)[0].endswith("without a token, 1 with an empty text")


def test_a_checkpoint_that_was_chosen_on_these_rows_is_told() -> None:
    found = results({"f1": 0.5})
    chosen = replace(found, scores=(replace(found.scores[0], best_step=3),))
    assert "3 of 5" in "\n".join(finetuning_lines(chosen)) and "somewhat too high" in finetuning_lines(chosen)[-1]
