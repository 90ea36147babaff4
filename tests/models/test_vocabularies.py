"""One tokenizer, vocabularies padded to different sizes: compared on the tokenizer's entries."""

import pytest
import torch
from transformers import TrainingArguments

from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.data.synthetic.stories import VOCABULARY, PlantedLM
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.models.vocabularies import entries_without_text, share_entries
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD
from causalkd.training.trainer import DistillationTrainer
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like
from tests.tiny import PAD, tiny, tiny_inputs
from tests.tiny import VOCABULARY as TINY_VOCABULARY


def pair(size: int) -> tuple[HookedModel, HookedModel]:
    teacher, student = (tiny("gpt2", "causal_lm", seed=seed, layers=2).double() for seed in (0, 1))
    student.resize_token_embeddings(size)
    tokenizer = PlantedLM().tokenizer()
    return (
        HookedModel(teacher, tokenizer, task="causal_lm", role="teacher"),
        HookedModel(student, tokenizer, task="causal_lm", role="student"),
    )


def test_logits_are_of_the_tokenizers_entries_and_the_models_stay_as_they_are():
    teacher, student = pair(TINY_VOCABULARY + 31)
    check_pair(teacher, student)
    inputs, whole = tiny_inputs(), teacher.run(tiny_inputs()).logits
    assert whole.shape[-1] == TINY_VOCABULARY
    share_entries(teacher, student)
    for model in (teacher, student, untrained_copy(student, 0)):
        assert model.run(inputs).logits.shape[-1] == len(VOCABULARY)
        assert model.run(inputs, logits_at=torch.tensor([1, 3])).logits.shape == (2, len(VOCABULARY))
    # A product with fewer columns may be added up in another order.
    torch.testing.assert_close(teacher.run(inputs).logits, whole[..., : len(VOCABULARY)], rtol=0, atol=1e-13)
    assert student.model.config.vocab_size == TINY_VOCABULARY + 31 == student.vocabulary


def test_equal_sizes_keep_every_entry():
    teacher, student = pair(TINY_VOCABULARY)
    share_entries(teacher, student)
    assert teacher.entries is student.entries is None


def test_what_a_teacher_shares_is_no_matter_of_an_earlier_student():
    teacher, padded = pair(TINY_VOCABULARY + 31)
    _, equal = pair(TINY_VOCABULARY)
    inputs, text = tiny_inputs(), len(VOCABULARY)

    def widths():
        return [model.run(inputs).logits.shape[-1] for model in (teacher, padded, equal)]

    share_entries(teacher, padded)
    share_entries(teacher, equal)
    assert widths() == [TINY_VOCABULARY, text, TINY_VOCABULARY]
    share_entries(teacher, equal, padded)  # all of which are compared
    assert widths() == [text] * 3


def test_a_vocabulary_that_was_resized_is_known_by_its_new_size():
    teacher, student = pair(len(VOCABULARY) - 2)
    with pytest.raises(ValueError, match=rf"the student's {len(VOCABULARY) - 2}, and the tokenizer of both"):
        check_pair(teacher, student)
    student.model.resize_token_embeddings(len(VOCABULARY))
    check_pair(teacher, student)


def test_an_unknown_word_is_text_unless_its_token_also_ends_one():
    words = [
        tokenizer.convert_ids_to_tokens(entries_without_text(tokenizer)) for tokenizer in (bert_like(), llama_like())
    ]
    assert sorted(words[0]) == ["[CLS]", "[MASK]", "[PAD]", "[SEP]"] and sorted(words[1]) == ["</s>", "<s>"]
    both = gpt2_like()
    both.unk_token = both.eos_token
    assert entries_without_text(both) == [both.eos_token_id]


def test_trainings_of_one_teacher_each_keep_their_entries(tmp_path):
    teacher, padded = pair(TINY_VOCABULARY + 31)
    _, equal = pair(TINY_VOCABULARY)
    rows = [{"input_ids": [4, 5, 6]}]
    collator, terms = PairingCollator(rows, {}, PAD), {"kd": Weighted(1.0, ResponseKD())}
    args = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    given = {"args": args, "train_dataset": ExampleSet(rows), "data_collator": collator}
    trainings = [DistillationTrainer(student, terms, teacher, **given) for student in (padded, equal)]
    for training, entries in zip(trainings, (len(VOCABULARY), None), strict=True):
        assert training.evaluate(ExampleSet(rows))["eval_loss"] >= 0
        assert teacher.entries == training.student.entries == entries
