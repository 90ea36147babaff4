from dataclasses import replace

from tests.example_report import example_report


def test_a_site_counts_among_the_aligned_the_touched_or_the_others():
    row = example_report().interchange[0]
    kinds = [
        replace(row, aligned=aligned, touched=touched).kind
        for aligned, touched in ((True, False), (False, True), (False, False))
    ]
    assert kinds == ["aligned", "touched", "other"]
