from causalkd.reporting.teaching_tables import HEADS, teaching_line, teaching_rows
from tests.example_teaching import example_teaching


def test_a_row_for_each_student_seed_and_pair() -> None:
    heads, *rows = teaching_rows(example_teaching())
    assert heads == HEADS and {len(row) for row in rows} == {len(HEADS)}
    assert [row[:2] for row in rows] == [(name, seed) for name in ("kd", "atkd") for seed in ("0", "1")]
    assert rows[0][2:] == ("0.250", "0.500", "0.250", "0.500", "facts", "0.800", "40", "0.500", "10")
    assert rows[-1][2:] == ("0.125", "0.500", "0.250", "0.333", "facts", "0.900", "40", "–", "0")


def test_the_line_counts_tokens() -> None:
    assert teaching_line(example_teaching()).startswith("5 labelled tokens of 3 training texts, mean uncertainty 0.325")
