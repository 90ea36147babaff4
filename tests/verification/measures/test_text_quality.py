"""Perplexity per token and byte against a loop; overlap with references and diversity by hand."""

import math
from dataclasses import replace

import pytest
import torch

from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.measures.text_quality import Prediction, distinct, mean_words, predict_texts, rouge_l
from tests.data.tiny_tokenizers import gpt2_like
from tests.tiny import tiny


@pytest.mark.parametrize("side", ["left", "right"])
def test_perplexity_equals_a_loop_over_tokens(side):
    tokenizer = gpt2_like()
    assert len(tokenizer) > 97
    model = HookedModel(tiny("llama", "causal_lm", dtype=torch.float64), tokenizer, task="causal_lm", role="student")
    rows = [[5, 9, 11, 40], [7, 8], [30, 31, 32, 33, 34]]
    examples = [{"input_ids": ids, "label": [-100, *ids[1:]]} for ids in rows]
    examples[2]["label"][1] = -100  # a prompt of two tokens
    sizes = [10, 2, 9]
    parts = [slice(0, 2), slice(2, 3)]
    numbers = [torch.tensor([0, 1]), torch.tensor([2])]
    batches = [
        Batch(pad(examples[part], 0, side), pad_labels(examples[part], side), index=index)
        for part, index in zip(parts, numbers, strict=True)
    ]
    found = predict_texts(model, batches, [{"bytes": size} for size in sizes])
    with pytest.raises(ValueError, match="has no `index`"):
        predict_texts(model, [replace(each, index=None) for each in batches], [{"bytes": size} for size in sizes])
    nats, size, tokens = 0.0, sum(sizes), 0
    for example in examples:
        ids = torch.tensor([example["input_ids"]])
        with torch.no_grad():
            log_probabilities = model.model(ids).logits[0].log_softmax(-1)
        wanted = [position for position, label in enumerate(example["label"]) if label != -100]
        nats -= sum(float(log_probabilities[position - 1, example["input_ids"][position]]) for position in wanted)
        tokens += len(wanted)
    assert (found.tokens, found.bytes) == (tokens, size) == (7, size)
    assert found.perplexity_per_token == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    assert found.perplexity_per_byte == pytest.approx(math.exp(nats / size), rel=1e-6)


def test_a_perplexity_that_no_float_holds_is_infinite():
    found = Prediction(nats=1e6, tokens=2, bytes=10_000)
    assert found.perplexity_per_token == math.inf and found.perplexity_per_byte == math.exp(100)


def test_nothing_to_predict_is_refused():
    tokenizer = gpt2_like()
    model = HookedModel(tiny("gpt2", "causal_lm"), tokenizer, task="causal_lm", role="student")
    rows = [{"input_ids": [5, 6], "label": [-100, -100], "bytes": 0}]
    with pytest.raises(ValueError, match="no token is labelled, so nothing can be scored"):
        predict_texts(model, [Batch(pad(rows, 0), pad_labels(rows), index=torch.arange(len(rows)))], rows)


def test_overlap_with_the_reference():
    assert rouge_l(["the cat sat on the mat"], ["the cat sat on the mat"]) == 1.0
    # Longest common subsequence `the sat mat`: recall 3/6, precision 3/3.
    assert rouge_l(["the cat sat on the mat"], ["the sat mat"]) == pytest.approx(2 * 0.5 / 1.5)
    assert rouge_l(["a b", "c d"], ["a b", ""]) == 0.5


def test_diversity_and_length():
    texts = ["a b a b", "a b", ""]
    assert distinct(texts, 1) == 2 / 6 and distinct(texts, 2) == 2 / 4
    assert distinct([""], 1) is None
    assert mean_words(texts) == 2
