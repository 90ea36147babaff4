from causalkd.reporting.short_names import names_or_number, short_name, short_names


def test_long_names_keep_their_beginning_and_end_and_wide_letters_take_two_places():
    assert short_name("a-student-of-20-chars") == "a-student-of-…-chars" and short_name("kd") == "kd"
    assert short_name("a" * 20) == "a" * 20 and short_name("") == ""
    assert short_name("学生模型通过因果干预学习老师", 15) == "学生模型…老师"


def test_names_that_would_become_equal_stay_whole():
    one, other = "adkd-minilm-on-3l-lr1e-4-e16", "adkd-minilm-on-6l-lr1e-4-e16"
    assert short_name(one) == short_name(other)
    third = "diito-minilm-3l-lr1e-4-e16-seeds"
    assert short_names([one, other, third, third]) == {one: one, other: other, third: short_name(third)}


def test_names_in_a_sentence_are_a_number_where_they_are_many():
    assert [names_or_number(["a", "b", "c"][:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert names_or_number(list("abcde")) == "5 students" and names_or_number(list("abcde"), "models") == "5 models"
    assert names_or_number(["\u05d0"]) == "\u2068\u05d0\u2069"
