"""The official scoring of SQuAD 2.0 (evaluate-v2.0.py), restated step by step from its description."""

import re
import string
from collections import Counter


def normalise(text):
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    text = re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)
    return " ".join(text.split())


def words(text):
    return normalise(text).split() if text else []


def exact(gold, found):
    return int(normalise(gold) == normalise(found))


def f1(gold, found):
    gold_words, found_words = words(gold), words(found)
    same = sum((Counter(gold_words) & Counter(found_words)).values())
    if len(gold_words) == 0 or len(found_words) == 0:
        return int(gold_words == found_words)
    if same == 0:
        return 0
    precision, recall = same / len(found_words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def scores(given):
    """Mean exact match and F1 of {number: (prediction, accepted answers)}."""
    exact_scores, f1_scores = {}, {}
    for number, (found, accepted) in given.items():
        golds = [gold for gold in accepted if normalise(gold)] or [""]
        exact_scores[number] = max(exact(gold, found) for gold in golds)
        f1_scores[number] = max(f1(gold, found) for gold in golds)
    return tuple(sum(each.values()) / len(given) for each in (exact_scores, f1_scores))
