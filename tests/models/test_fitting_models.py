import pytest

from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.hooked_model import HookedModel
from tests.models.small import hooked, word_tokenizer
from tests.tiny import tiny


def test_every_difference_of_a_pair_is_named() -> None:
    teacher = hooked("bert", "classification")
    check_pair(teacher, hooked("roberta", "classification", "student"))
    with pytest.raises(ValueError) as caught:
        check_pair(teacher, hooked("bert", "regression", "student"))
    assert "the teacher's task is classification, the student's regression" in str(caught.value)
    other = tiny("bert", "classification", labels=2)
    other.resize_token_embeddings(50)
    with pytest.raises(ValueError) as caught:
        check_pair(teacher, HookedModel(other, word_tokenizer(), task="classification", role="student"))
    assert "vocabulary has 97 entries, the student's 50, and the tokenizer of both 97" in str(caught.value)
    assert "give it more, by resize_token_embeddings(97)" in str(caught.value)
    assert "labels are ['LABEL_0', 'LABEL_1', 'LABEL_2'], the student's ['LABEL_0', 'LABEL_1']" in str(caught.value)
    unknown = HookedModel(other, task="classification", role="student")
    with pytest.raises(ValueError, match="entries, the student's 50: one token id means different words"):
        check_pair(teacher, unknown)
    stranger = HookedModel(tiny("bert", "classification"), word_tokenizer("v"), task="classification", role="student")
    with pytest.raises(ValueError, match="the tokenizers give different ids to the same tokens"):
        check_pair(teacher, stranger)
