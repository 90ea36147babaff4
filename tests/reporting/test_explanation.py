import dataclasses

import pytest

from causalkd.alignment.spec import Alignment
from causalkd.reporting.explanation import explanation
from tests.example_report import example_report


def test_three_sentences_say_what_this_run_did_and_counted():
    done, counted, warned = explanation(example_report(seeds=1))
    assert "the output of a layer was replaced at the tokens of premise" in done
    assert "(360 of 1200 held-out pairs)" in counted and "reaches 55.7%" in counted
    assert "another seed would give the same" in warned and "other sites are the independent evidence" in warned


def test_with_three_seeds_other_data_are_the_doubt():
    assert "other data or models would give the same" in explanation(example_report(seeds=3))[2]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{policy: consecutive, fraction: 0.3}", "at one span of tokens"),
        ("{policy: first}", "at the first token"),
        ("{policy: last, maximum: 3}", "at the last 3 tokens"),
        ("{policy: all}", "at every token"),
    ],
)
def test_positions_are_told_in_words(policy, said):
    report = example_report(seeds=1)
    text = report.alignment.to_yaml().replace("{policy: segments, segments: [premise]}", policy)
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("positions"))
    end = next(number for number, line in enumerate(lines) if line.startswith("pairs"))
    changed = Alignment.from_yaml("\n".join([*lines[:start], f"positions: {policy}", *lines[end:]]))
    assert said in explanation(dataclasses.replace(report, alignment=changed))[0]


def test_a_report_without_rows_has_its_sentences_too():
    empty = dataclasses.replace(example_report(), interchange=(), differences=())
    assert all(sentence.endswith(".") for sentence in explanation(empty))
