from dataclasses import replace
from pathlib import Path

import pytest

from analysis.scripts.study_result import Words, result_page
from causalkd.reporting.study_table import study_table
from tests.example_study import example_results, example_study

WORDS = Words("Is it so?", "`causalkd study x`", "small", ["accuracy"], "that it is", "much", "It appears here.")


def test_the_page_holds_the_chosen_measures_and_the_words(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    table = study_table(study, example_results(study))
    page = result_page(table, WORDS, "figure.svg")
    assert page.startswith("# Is it so?\n") and "](figure.svg)" in page and "**The claim.** It appears here." in page
    assert "0.710 ± 0.010" in page and "agreement" not in page
    (visible,) = (each.over_seeds.visible for each in table.differences if each.measure == "accuracy")
    assert f"of accuracy: {visible:.3f}. " in page
    assert "Cells without" not in page


def test_failures_stand_on_the_page(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    results = example_results(study, failing=True)
    page = result_page(study_table(study, results), replace(WORDS, claim=""), "f.svg")
    assert f"**Cells without a result.** `{results[-1].cell.name}`" in page and "The claim" not in page


def test_unknown_measures_and_keys_are_refused(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    with pytest.raises(ValueError, match="the study has no measures \\['f1'\\]"):
        result_page(study_table(study, example_results(study)), replace(WORDS, measures=["f1"]), "f.svg")
    (tmp_path / "words.yaml").write_text("{title: a, colour: b}")
    with pytest.raises(ValueError, match="it has the keys title, command"):
        Words.load(tmp_path / "words.yaml")
