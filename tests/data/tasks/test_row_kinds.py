from pathlib import Path

import pytest

from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.row_kinds import ROW_KINDS, usual_column, usual_pair


def test_a_usual_name_may_have_capitals_and_blanks() -> None:
    names = ROW_KINDS["classification"].roles["label"]
    assert usual_column(names, ["Text", " Label "]) == " Label "
    assert usual_column(names, ["Label", "label"]) == "label", "the exact name first"
    assert usual_column(names, ["stars"]) is None
    assert usual_pair(["Premise", "id", "HYPOTHESIS"]) == ("Premise", "HYPOTHESIS") and usual_pair(["premise"]) == ()


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("question", "sentence", "label"), ("question", "sentence")),
        (("label", "text", "question"), ("question", "text")),
        (("text", "label", "premise"), ("text",)),
    ],
)
def test_a_question_and_what_it_is_about_are_a_pair(
    tmp_path: Path, columns: tuple[str, ...], found: tuple[str, ...]
) -> None:
    (tmp_path / "t.csv").write_text(",".join(columns) + "\nwho?,it is he.,yes\nwhat?,it is it.,no\n")
    own = OwnData(str(tmp_path / "t.csv"), "classification")
    assert own.columns_of(own.table("train"))["text"] == found


def test_a_text_beside_a_pair_of_texts_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,premise,hypothesis,label\n" + 9 * "a,b,c,yes\n")
    own = OwnData(str(tmp_path / "t.csv"), "classification")
    with pytest.raises(ValueError, match="the text may be 'text' or the pair 'premise' and 'hypothesis': name it"):
        own.columns_of(own.table("train"))
