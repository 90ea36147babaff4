"""What a run's teaching modes are kept as: means, tokens text by text, JSON."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from causalkd.verification.results.teaching import StudentModes, TeachingModes, TeachingResults, texts_of
from tests.example_teaching import TEXTS, example_teaching


def test_tokens_and_texts_are_each_others_inverse() -> None:
    tokens = example_teaching().tokens
    assert tokens.text.tolist() == [0, 0, 0, 2, 2] and tokens.position.tolist() == [1, 2, 3, 1, 2]
    assert tokens.hard.tolist() == [True, True, False, False, False]
    assert texts_of(tokens, [text.tokens for text in TEXTS]) == TEXTS


def test_a_students_terms_are_means_and_its_share_is_of_forward_kl() -> None:
    unc, target, diversity = np.array([0.5, 0.0]), np.array([1.0, 0.0]), np.array([4.0, 3.0])
    modes = TeachingModes(np.zeros(2, int), np.arange(2), unc, unc > 0, target, diversity)
    found = StudentModes.of("kd", 3, modes, ())
    assert (found.target, found.diversity, found.suppressed) == (0.5, 3.5, 1.0)
    assert found.target_share == pytest.approx(modes.target_share) == pytest.approx(1 / 3)
    assert StudentModes("kd", 0, 0.0, 0.0, 0.0, ()).target_share is None


def test_it_survives_json() -> None:
    adapter = TypeAdapter(TeachingResults)
    assert adapter.validate_json(adapter.dump_json(example_teaching())) == example_teaching()


def test_nothing_to_keep() -> None:
    with pytest.raises(ValueError, match="got 0 students and 3 texts, none of them labelled"):
        TeachingResults(0.5, TEXTS[1:2] * 3, ())
