from causalkd.data.tasks.row_kinds import ROW_KINDS, usual_column, usual_pair


def test_a_usual_name_may_have_capitals_and_blanks() -> None:
    names = ROW_KINDS["classification"].roles["label"]
    assert usual_column(names, ["Text", " Label "]) == " Label "
    assert usual_column(names, ["Label", "label"]) == "label", "the exact name first"
    assert usual_column(names, ["stars"]) is None
    assert usual_pair(["Premise", "id", "HYPOTHESIS"]) == ("Premise", "HYPOTHESIS") and usual_pair(["premise"]) == ()
