"""The perplexity of a causal LM on texts, and the comparison of the texts that it writes with references."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rouge_score import rouge_scorer

from causalkd.data.batch import IGNORED, Batch, Example
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.processes import ALONE, Processes
from causalkd.verification.measures.example_rows import examples_of
from causalkd.verification.measures.words import Words


@dataclass(frozen=True)
class Prediction:
    """The negative log-probability of labelled tokens."""

    nats: float
    """The sum over the tokens of the negative log-probability."""
    tokens: int
    bytes: int
    """The UTF-8 bytes of the text of these tokens; special tokens have none."""

    @property
    def perplexity_per_token(self) -> float:
        """The perplexity. It depends on the tokenizer; it is infinite if a float cannot hold it."""
        return _exponential(self.nats / self.tokens)

    @property
    def perplexity_per_byte(self) -> float:
        """The perplexity of a byte instead of a token, which compares models with different tokenizers."""
        return _exponential(self.nats / self.bytes)


def predict_texts(
    model: HookedModel,
    batches: Sequence[Batch],
    examples: Sequence[Example],
    processes: Processes = ALONE,
) -> Prediction:
    """The negative log-probability of the labelled tokens by a causal LM. Costs one forward pass per batch.

    Args:
        model: The causal LM.
        batches: The batches of the examples.
        examples: The examples, with the number of `bytes` of the text of their labelled tokens.
        processes: The processes that share the batches.

    Raises ValueError if nothing is labelled, or if a batch does not know the numbers of its rows.
    """
    parts: list[tuple[float, int, int]] = []
    with torch.no_grad(), evaluating([model]):
        for number in processes.share(len(batches)):
            batch = batches[number].to(model.model.device)
            if batch.labels is None:
                raise ValueError("a batch has no labels, so nothing can be scored; give batches of labelled texts")
            gold = batch.labels[:, 1:]
            counts = (gold != IGNORED) & batch.counted[:, 1:]
            logits = model.run(batch.inputs).logits[:, :-1][counts]
            wanted = gold[counts]
            nats = float(torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum"))
            written = sum(example["bytes"] for example in examples_of(batch, examples))
            parts.append((nats, len(wanted), written))
    # Added up in the order of the batches, so that the sum is the same for any number of processes.
    nats, tokens, written = (sum(each) for each in zip((0.0, 0, 0), *processes.together(parts), strict=True))
    if not tokens or not written:
        raise ValueError("no token is labelled, so nothing can be scored; give texts, or instructions with responses")
    return Prediction(nats, tokens, written)


def rouge_l(references: Sequence[str], texts: Sequence[str]) -> float:
    """Mean F1 of the longest common subsequence of words with the reference (Lin 2004), 0 to 1.

    Words may be of any script; English words are stemmed.
    """
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=Words())
    pairs = zip(references, texts, strict=True)
    return sum(scorer.score(reference, text)["rougeL"].fmeasure for reference, text in pairs) / len(texts)


def distinct(texts: Sequence[str], n: int) -> float | None:
    """The share of distinct n-grams of words (Li et al. 2016, arXiv 1510.03055); None if there are no n-grams."""
    words = [text.split() for text in texts]
    grams = [tuple(line[start : start + n]) for line in words for start in range(len(line) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def mean_words(texts: Sequence[str]) -> float:
    """The mean number of words of a text."""
    return sum(len(text.split()) for text in texts) / len(texts)


def _exponential(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
