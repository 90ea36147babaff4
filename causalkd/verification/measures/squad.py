"""Extractive question answering as SQuAD scores it: the best span over the windows of a context, compared as text."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch, Example
from causalkd.verification.interventions.predictions import LONGEST_ANSWER
from causalkd.verification.measures.example_rows import examples_of

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class WindowAnswer(NamedTuple):
    """The best answer within one window."""

    question: int
    score: float
    """The sum of the logits of its start and its end; minus infinity if the window holds no token of the context."""
    text: str
    null: float
    """The sum of the two logits of "there is no answer"."""


class QuestionAnswer(NamedTuple):
    """The predicted and the accepted answers of one question."""

    question: int
    text: str
    """The predicted answer; empty for "there is no answer"."""
    accepted: tuple[str, ...]
    """The accepted answers; None for a question without an answer."""
    null_odds: float
    """The score of "there is no answer" minus that of the best answer, in logits."""


def normalised(text: str) -> str:
    """The text in lower case without punctuation, articles and superfluous spaces (the official script's rules)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_is_exact(text: str, accepted: Sequence[str]) -> bool:
    """Whether the answer, normalised, equals an accepted one; without accepted ones, whether it is empty."""
    return any(normalised(text) == normalised(gold) for gold in _worded(accepted))


def answer_f1(text: str, accepted: Sequence[str]) -> float:
    """F1 of the normalised words with the accepted answer that shares most, by the rules of SQuAD 2.0's script.

    They differ from 1.1's in one case: two texts that are both empty after normalising have 1, not 0.
    """
    return max(_word_f1(normalised(text).split(), normalised(gold).split()) for gold in _worded(accepted))


def window_answers(
    logits: Float[Tensor, "row 2 pos"], batch: Batch, examples: Sequence[Example], longest: int = LONGEST_ANSWER
) -> list[WindowAnswer]:
    """The best answer within each row of a batch: inside the context, no longer than `longest` tokens.

    Args:
        logits: The logits of starts and ends.
        batch: A batch with the numbers of its rows among the examples.
        examples: The examples, as `causalkd.data.tasks.tokenise.answer_examples` makes them.
        longest: The longest answer in tokens.

    Raises:
        ValueError: The batch does not know the numbers of its rows.
    """
    logits, firsts = logits.float().cpu(), batch.counted.long().argmax(1).tolist()
    rows = zip(examples_of(batch, examples), firsts, logits, strict=True)
    return [_window_answer(example, ends[:, first:], longest) for example, first, ends in rows]


def question_answers(
    found: Iterable[WindowAnswer],
    accepted: Mapping[int, Sequence[str]],
    threshold: float = 0.0,
    may_lack: bool | None = None,
) -> tuple[QuestionAnswer, ...]:
    """The best answer over all windows of each question.

    If questions may have no answer (SQuAD 2.0), one is left unanswered if the score of "there is no answer", in the
    window where it is lowest, exceeds the best answer's by more than `threshold` logits. By default they may if one of
    these questions has no accepted answer.
    """
    by_question: dict[int, list[WindowAnswer]] = {}
    for each in found:
        by_question.setdefault(each.question, []).append(each)
    if may_lack is None:
        may_lack = any(not accepted[question] for question in by_question)
    answers = []
    for question, windows in by_question.items():
        best = max(windows, key=lambda window: window.score)
        odds = min(window.null for window in windows) - best.score
        text = "" if may_lack and odds > threshold else best.text
        answers.append(QuestionAnswer(question, text, tuple(accepted[question]), odds))
    return tuple(answers)


def _window_answer(example: Example, ends: Float[Tensor, "2 pos"], longest: int) -> WindowAnswer:
    null = float(ends[:, example["null"]].sum())
    if "second" not in example["segments"]:
        return WindowAnswer(example["question"], -torch.inf, "", null)
    start, stop = example["segments"]["second"]
    starts, stops = ends[:, start:stop]
    both = starts[:, None] + stops
    allowed = torch.ones_like(both, dtype=torch.bool).triu().tril(longest - 1)
    best = int(both.masked_fill(~allowed, -torch.inf).argmax())
    first, last = divmod(best, stop - start)
    characters = slice(example["offsets"][start + first][0], example["offsets"][start + last][1])
    return WindowAnswer(example["question"], float(both[first, last]), example["text"][characters].strip(), null)


def _worded(accepted: Sequence[str]) -> Sequence[str]:
    """The answers without those that are empty after normalising; the empty answer if none remains."""
    return [text for text in accepted if normalised(text)] or [""]


def _word_f1(found: list[str], gold: list[str]) -> float:
    if not found or not gold:
        return float(found == gold)
    shared = sum((Counter(found) & Counter(gold)).values())
    return 2 * shared / (len(found) + len(gold))
