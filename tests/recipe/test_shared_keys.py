from causalkd.recipe.shared_keys import inherited, not_inherited, swallowed

PARTS = {"kd": {"steps": 5, "seed": 1}, "diito": {"epochs": 2}}


def test_a_part_s_own_keys_come_first_and_its_length_replaces_either() -> None:
    assert inherited({"steps": 9, "batch_size": 4}, PARTS["diito"]) == {"batch_size": 4, "epochs": 2}


def test_a_shared_key_does_nothing_where_every_part_has_its_own() -> None:
    found = not_inherited(("steps", "seed", "batch_size"), PARTS)
    assert found == {"steps": {"kd": {"steps": 5}, "diito": {"epochs": 2}}}


def test_what_is_asked_for_and_does_nothing_is_told_with_the_way_on() -> None:
    found = not_inherited(("steps",), PARTS)
    expected = [
        "training.steps would have no effect: every student sets its own (kd steps: 5, diito epochs: 2); "
        "give students.*.training.steps instead, with students.*.training.epochs null"
    ]
    for fields in ({"training.steps": 7}, {"training": {"steps": 7}}):
        assert swallowed(fields, "training", "student", "students.*.training", found) == expected
    assert not swallowed({"training.batch_size": 7}, "training", "student", "students.*.training", found)
