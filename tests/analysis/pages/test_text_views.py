import math

from analysis.pages.text_views import SHOWN_WORDS, coloured_words


def test_the_colour_is_the_stronger_the_larger_the_share_and_ends_at_the_strongest() -> None:
    words = coloured_words(list("abcde"), [0.1, -0.2, 0.0, 0.9, math.nan], "12345", strongest=0.4)
    assert [word.background for word in words] == [
        "rgba(33, 102, 172, 0.15)", "rgba(178, 24, 43, 0.3)", "", "rgba(33, 102, 172, 0.6)", "",
    ]  # fmt: skip
    assert [word.against for word in words] == [False, True, False, False, False]
    assert [(word.text, word.meaning) for word in words] == list(zip("abcde", "12345", strict=True))


def test_long_texts_end_with_the_number_of_the_words_that_are_left_out() -> None:
    count = SHOWN_WORDS + 3
    words = coloured_words(["a"] * count, [0.5] * count, ["m"] * count)
    assert len(words) == SHOWN_WORDS + 1 and words[-1].text == "… and 3 more" and words[-1].background == ""
