import datasets
import pytest

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.guess import guess_columns, guess_kind

GUESSES = {
    "chat": {"messages": [[{"role": "user", "content": "a"}]]},
    "question_answering": {"question": ["a"], "context": ["b"], "answers": [{"text": ["b"], "answer_start": [0]}]},
    "token_classification": {"tokens": [["a"]], "ner_tags": [["O"]]},
    "instructions": {"instruction": ["a"], "input": [""], "output": ["b"]},
    "regression": {"text": ["a", "b"], "label": [1.5, 2.0]},
    "classification": {"premise": ["a"], "hypothesis": ["b"], "label": [1]},
    "multi_label": {"text": ["a"], "labels": [["x", "y"]]},
    "causal_lm": {"text": ["a"]},
}


@pytest.mark.parametrize("kind", GUESSES)
def test_the_kind_is_guessed_from_the_columns(kind: str) -> None:
    assert guess_kind(Table(datasets.Dataset.from_dict(GUESSES[kind]), "here")) == kind


TEXTS = [f"some words of text {number}" for number in range(12)]


def _table(**columns: list) -> Table:
    return Table(datasets.Dataset.from_dict(columns), "here")


def test_a_text_and_a_column_of_few_values_are_a_classification() -> None:
    table = _table(id=list(range(12)), review=TEXTS, stars=[str(number % 5) for number in range(12)])
    assert guess_kind(table) == "classification" and guess_columns(table, "classification") == {"label": "stars"}
    table = _table(оценка=[number % 2 for number in range(12)], отзыв=TEXTS)
    assert guess_kind(table) == "classification"
    assert guess_columns(table, "classification") == {"text": "отзыв", "label": "оценка"}
    assert guess_columns(table, "causal_lm") == {"text": "отзыв"}


def test_nothing_is_guessed_of_several_columns_or_of_none() -> None:
    two = {"stars": [1, 2] * 6, "language": ["de", "en"] * 6}
    assert guess_kind(_table(text=TEXTS, **two)) == "causal_lm"
    assert guess_kind(_table(text=TEXTS, id=[str(number) for number in range(12)])) == "causal_lm"
    assert guess_kind(_table(text=TEXTS, source=["web"] * 12)) == "causal_lm"
    with pytest.raises(ValueError, match="not named as those of any kind usually are"):
        guess_kind(_table(body=TEXTS, **two))


def test_an_infinite_score_and_gaps_do_not_end_the_guess() -> None:
    assert guess_kind(_table(text=TEXTS[:3], label=["1.5", "", "inf"])) == "regression"
    assert guess_kind(_table(text=TEXTS[:3], label=["1", "inf", ""])) == "classification"
