import pytest
import torch

from causalkd.data.batch import pad
from causalkd.data.masking import Masking
from tests.data.tiny_tokenizers import bert_like, gpt2_like

MASKING = Masking(mask_id=4, special_ids=(0, 1, 2, 3, 4), vocabulary=50, share=0.3)


def rows(count: int, length: int) -> list[dict]:
    return [{"input_ids": [2, *[5 + (row + n) % 45 for n in range(length)], 3]} for row in range(count)]


def test_the_shares_are_those_of_the_paper() -> None:
    inputs = pad(rows(600, 40), 0)
    corrupted, labels = MASKING.corrupt(inputs, 0, torch.arange(600))
    ids, new = inputs["input_ids"], corrupted["input_ids"]
    chosen = labels != -100
    ordinary = 600 * 40
    assert abs(chosen.sum() / ordinary - 0.3) < 0.015
    assert abs((chosen & (new == 4)).sum() / chosen.sum() - 0.8) < 0.03
    assert abs((chosen & (new == ids)).sum() / chosen.sum() - 0.1) < 0.03
    random = new[chosen & (new != 4) & (new != ids)]
    assert abs(len(random) / chosen.sum() - 0.1) < 0.03 and set(random.tolist()) == set(range(5, 50))


def test_only_ordinary_tokens_change_and_labels_are_the_original_ids() -> None:
    inputs = pad([*rows(20, 12), *rows(20, 3)], 0)
    corrupted, labels = MASKING.corrupt(inputs, 0, torch.arange(40))
    ids, chosen = inputs["input_ids"], labels != -100
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(corrupted["input_ids"][~chosen], ids[~chosen])
    assert not torch.isin(ids[chosen], torch.tensor(MASKING.special_ids)).any()
    assert corrupted["attention_mask"] is inputs["attention_mask"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_row_is_corrupted_alike_in_any_batch(side: str) -> None:
    examples = [*rows(3, 12), *rows(3, 5)]
    inputs, labels = MASKING.corrupt(pad(examples, 0), 7, torch.arange(6), 2)
    for row, example in enumerate(examples):
        length = len(example["input_ids"])
        other, other_labels = MASKING.corrupt(pad([example, examples[0]], 0, side), 7, torch.tensor([row, 0]), 2)
        cut = slice(0, length) if side == "right" else slice(-length, None)
        assert torch.equal(other["input_ids"][0, cut], inputs["input_ids"][row, :length])
        assert torch.equal(other_labels[0, cut], labels[row, :length])
    assert not torch.equal(MASKING.corrupt(pad(examples, 0), 7, torch.arange(6), 3)[1], labels)


def test_from_a_tokenizer() -> None:
    tokenizer = bert_like()
    masking = Masking.from_tokenizer(tokenizer, 0.2)
    assert (masking.mask_id, masking.vocabulary, masking.share) == (4, len(tokenizer), 0.2)
    assert masking.special_ids == (0, 1, 2, 3, 4)


def test_a_tokenizer_without_mask_token_and_a_share_out_of_range_are_errors() -> None:
    with pytest.raises(ValueError, match=r"has no mask token, which masked_lm needs.*or the task causal_lm"):
        Masking.from_tokenizer(gpt2_like())
    with pytest.raises(ValueError, match=r"masked share 0.0: .*give a number in \(0, 1\]"):
        Masking(4, (), 50, 0.0)
