from causalkd.reporting.short_names import short_name, short_names


def test_long_names_keep_their_beginning_and_end_and_wide_letters_take_two_places():
    assert short_name("a-student-of-20-chars") == "a-student-of-…-chars" and short_name("kd") == "kd"
    assert short_name("a" * 20) == "a" * 20 and short_name("") == ""
    assert short_name("学生模型通过因果干预学习老师", 15) == "学生模型…老师"


def test_names_that_would_become_equal_stay_whole():
    one, other = "adkd-minilm-on-3l-lr1e-4-e16", "adkd-minilm-on-6l-lr1e-4-e16"
    assert short_name(one) == short_name(other)
    third = "diito-minilm-3l-lr1e-4-e16-seeds"
    assert short_names([one, other, third, third]) == {one: one, other: other, third: short_name(third)}
