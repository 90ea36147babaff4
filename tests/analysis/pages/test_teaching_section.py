from analysis.pages.teaching_section import teaching_figures, teaching_texts
from tests.example_teaching import example_teaching

ROWS = [
    {"student": name, "seed": 0, "step": step, "term/dkd": 0.1, "term/response_kd": 0.2}
    for name in ("kd", "atkd")
    for step in (1, 2)
]


def test_a_figure_for_each_question() -> None:
    figures, _ = zip(*teaching_figures(example_teaching(), ROWS), strict=True)
    assert len(figures) == 3
    shares, accuracy = (figure() for figure in figures[1:])
    (legend,) = shares.legends
    assert [text.get_text() for text in legend.get_texts()] == ["atkd"]  # of kd not both terms are logged
    assert [label.get_text() for label in accuracy.axes[0].get_xticklabels()] == ["kd\nn = 40/10", "atkd\nn = 40/0"]


def test_without_logged_terms_the_course_is_left_out() -> None:
    assert len(teaching_figures(example_teaching(), ROWS[:2])) == 2


def test_the_first_labelled_texts_are_shown_by_the_mode_of_their_tokens() -> None:
    both, easy, hard = teaching_texts(example_teaching()).views
    assert [passage.heading for passage in both.passages] == [
        "Text 0: 1 easy token, 2 hard", "Text 2: 2 easy tokens, 0 hard",
    ]  # fmt: skip
    words = [[word for word in view.passages[0].lines[0].words] for view in (both, easy, hard)]
    assert [word.text for word in words[0]] == ["[BOS]", "ann", "dock", "."]
    assert [word.against for word in words[0]] == [False, True, True, False]
    assert [word.meaning for word in words[0]] == [
        "not labelled", "hard, uncertainty 0.750", "hard, uncertainty 0.500", "easy, uncertainty 0.000",
    ]  # fmt: skip
    assert [[bool(word.background) for word in each] for each in words] == [
        [False, True, True, True], [False, False, False, True], [False, True, True, False],
    ]  # fmt: skip
