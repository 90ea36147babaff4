"""Perplexity with overlapping rows is that of a loop over the text, and of single masks that of a loop over tokens."""

import pytest
import torch

from causalkd.data.batch import IGNORED
from causalkd.data.tasks.scored_rows import one_mask_each, overlapping_rows
from causalkd.data.token_mask import targets
from causalkd.losses.task import task_loss
from tests.tiny import tiny


def _blocks(tokens: list[int], size: int, before: tuple[int, ...] = (), after: tuple[int, ...] = ()) -> list[dict]:
    parts = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    return [
        {"input_ids": [*before, *part, *after], "segments": {"text": (len(before), len(before) + len(part))}}
        for part in parts
    ]


TEXT = torch.randint(4, 97, (33,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize(("size", "stride"), [(16, 16), (16, 4), (16, 5), (10, 1), (40, 33), (33, 7)])
def test_rows_that_overlap_score_every_token_once_with_what_stands_before_it(size: int, stride: int) -> None:
    model = tiny("gpt2", "causal_lm")
    nats, tokens, scored = 0.0, 0, 1
    for start in range(0, len(TEXT), stride):  # the loop of transformers' documentation
        part = torch.tensor([TEXT[start : start + size]])
        labels = part.clone()
        labels[0, : max(scored - start, 0)] = IGNORED
        if (labels != IGNORED).any():
            counted = int((labels[:, 1:] != IGNORED).sum())
            with torch.no_grad():
                logits = model(input_ids=part).logits
            nats += float(task_loss("causal_lm", logits, targets("causal_lm", labels))) * counted
            tokens += counted
        scored = max(scored, start + part.shape[1])
        if scored >= len(TEXT):
            break
    found, count = 0.0, 0
    for row in overlapping_rows(_blocks(TEXT, min(size, len(TEXT))), min(stride, len(TEXT))):
        labels = torch.tensor([row["label"]])
        counted = int((labels[:, 1:] != IGNORED).sum())
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits
        found += float(task_loss("causal_lm", logits, targets("causal_lm", labels))) * counted
        count += counted
    assert count == tokens and found == pytest.approx(nats, rel=1e-5)


def test_special_tokens_stand_around_every_row_and_do_not_count() -> None:
    rows = overlapping_rows(_blocks(TEXT[:20], 8, (2,), (3,)), 5)
    assert all(row["input_ids"][0] == 2 and row["input_ids"][-1] == 3 for row in rows)
    scored = [token for row in rows for token in row["label"] if token != IGNORED]
    assert scored == TEXT[:20] and all(row["label"][0] == row["label"][-1] == IGNORED for row in rows)
    with pytest.raises(ValueError, match="stride is 9, but a row has 8 tokens of text; give 1 to 8"):
        overlapping_rows(_blocks(TEXT, 8), 9)


def test_every_token_is_masked_once_and_alone() -> None:
    model = tiny("bert", "masked_lm")
    (example,) = _blocks(TEXT[:6], 6, (2,), (3,))
    rows = one_mask_each([example], mask_id=4)
    assert len(rows) == 6
    for place, row in enumerate(rows, 1):
        masked = [*example["input_ids"]]
        masked[place] = 4
        assert row["input_ids"] == masked and row["label"][place] == example["input_ids"][place]
        assert sum(label != IGNORED for label in row["label"]) == 1
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([masked])).logits[0, place]
        expected = -float(logits.log_softmax(-1)[example["input_ids"][place]])
        with torch.no_grad():
            loss = task_loss(
                "masked_lm", model(input_ids=torch.tensor([row["input_ids"]])).logits, torch.tensor([row["label"]])
            )
        assert float(loss) == pytest.approx(expected, rel=1e-5)
