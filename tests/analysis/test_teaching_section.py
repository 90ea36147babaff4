from analysis.teaching_section import teaching_figures
from tests.example_teaching import example_teaching

ROWS = [
    {"student": name, "seed": 0, "step": step, "term/dkd": 0.1, "term/response_kd": 0.2}
    for name in ("kd", "atkd")
    for step in (1, 2)
]


def test_a_figure_for_each_question_and_the_first_labelled_texts() -> None:
    figures, captions = zip(*teaching_figures(example_teaching(), ROWS), strict=True)
    assert len(figures) == 5 and captions[-2:] == ("A training text.",) * 2
    shares, accuracy, first, second = (figure().axes[0] for figure in figures[1:])
    assert [text.get_text() for text in shares.get_legend().get_texts()] == ["atkd"]  # of kd not both terms are logged
    assert [label.get_text() for label in accuracy.get_xticklabels()] == ["kd\nn = 40/10", "atkd\nn = 40/0"]
    assert [text.get_text() for text in first.texts][:2] == ["text 0: 1 easy tokens, 2 hard", ""]
    assert "text 2: 2 easy tokens, 0 hard" in [text.get_text() for text in second.texts]


def test_without_logged_terms_the_course_is_left_out() -> None:
    assert len(teaching_figures(example_teaching(), ROWS[:2])) == 4
