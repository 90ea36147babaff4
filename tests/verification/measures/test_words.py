"""Words of any script: English ones as rouge-score has them, and texts of every other script overlap by whole words."""

import pytest
from rouge_score.tokenizers import DefaultTokenizer

from causalkd.verification.measures.text_quality import rouge_l
from causalkd.verification.measures.words import Words, words

SCRIPTS = {
    "Cyrillic": ("кошка сидит на окне", "кошка спит на тёплом окне", 4, 5, 3),
    "Devanagari": ("बिल्ली खिड़की पर बैठी है", "बिल्ली चटाई पर है", 5, 4, 3),
    "Arabic": ("القطة تجلس على النافذة", "القطة على النافذة", 4, 3, 3),
    "Greek": ("η γάτα κάθεται στο παράθυρο", "η γάτα στο χαλί", 5, 4, 3),
    "Han": ("猫坐在窗上", "猫在窗边", 5, 4, 3),
    "Thai": ("แมวนั่ง", "แมว", 5, 3, 3),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_texts_of_every_script_overlap_by_their_words(script):
    reference, text, length, other, shared = SCRIPTS[script]
    assert (len(words(reference)), len(words(text))) == (length, other)
    recall, precision = shared / length, shared / other
    assert rouge_l([reference], [text]) == pytest.approx(2 * recall * precision / (recall + precision))
    assert rouge_l([reference], [reference]) == 1.0 and rouge_l([reference], ["zebra"]) == 0.0


@pytest.mark.parametrize("text", ["The cats' running_fast, isn't it? 3.5 U.S.A.", "", "a--b  c\nd", "Jumping JUMPS"])
def test_english_is_split_and_stemmed_as_before(text):
    assert Words().tokenize(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)


def test_marks_and_joiners_belong_to_their_word():
    assert words("कि\u200dताब café cafe\u0301") == ["किताब", "café", "café"]
