import pytest

from causalkd.data.tasks.row_checks import check_answers, check_rows

TURN = {"role": "user", "content": "sing"}
ABOUT = {
    "id": 7,
    "lang": "en",
    "timestamp": "2023",
    "toxic": False,
    "turn_identifier": 3,
    "train": False,
    "weight": 0.0,
}
ABOUT |= {"loss": None, "tool_calls": {}, "function_call": "null", "thinking": "", "images": []}
REPLY = {"role": "assistant", "content": "la"}
FITTING = {
    "text": ["a", ""],
    "label": ["a", 1, 0.5],
    "score": ["1.5", 2, 0.25, "-3e2"],
    "words": [["a", "b"]],
    "tags": [["O", 3]],
    "answers": [{"answer_start": [0], "text": ["a"]}, {"answer_start": [], "text": []}],
    "spans": [[(0, "a")], []],
    "messages": [[TURN, {**TURN, "tool_calls": None, "name": ""}], [{**TURN, **ABOUT}, {**REPLY, "weight": 1.0}]],
}
WRONG = {
    "text": [None, 2020, ["a"]],
    "label": [None, "", ["a"]],
    "score": ["nan", "x", None, "", float("inf"), 10**400, [1]],
    "words": [None, [], ["a", None], "a b"],
    "tags": [[], [None], "O"],
    "answers": [None, {"text": ["a"]}, {"answer_start": [0], "text": []}, {"answer_start": ["0"], "text": ["a"]}],
    "spans": [None, [(None, "a")], [(0, 7)]],
    "messages": [
        *(None, [], [{"role": "user"}], [{"role": "user", "content": None}]),
        *([{**TURN, "tool_calls": [{"function": {"name": "sing"}}]}], [{**REPLY, "weight": 0}]),
        *([{**REPLY, **more}] for more in ({"train": False}, {"weight": 0.5}, {"thinking": "so"}, {"name": "x"})),
        [{**TURN, "loss": True}],
    ],
}


@pytest.mark.parametrize("role", FITTING)
def test_what_fits_and_what_does_not(role: str) -> None:
    check_rows([role], ["here"], [FITTING[role]], "a.csv")
    for value in WRONG[role]:
        with pytest.raises(ValueError, match=r"^a\.csv: row 8, column 'here': .* must stand\. Correct or remove"):
            check_rows([role], ["here"], [[*FITTING[role][:1], value]], "a.csv", [4, 7])


def test_many_faults_are_one_error_in_the_order_of_rows_and_those_alike_are_named_together() -> None:
    with pytest.raises(ValueError) as error:
        check_rows(["text", "label"], ["a", "b"], [["x", None, 3], [None] * 3], "f")
    assert str(error.value) == (
        "f: rows 1, 2, 3, column 'b': None (NoneType), where a label must stand; row 2, column 'a': None (NoneType); "
        "row 3, column 'a': 3 (int), where a text must stand. Correct or remove these rows"
    )
    with pytest.raises(ValueError) as error:
        check_rows(["text"], ["a"], [[*range(9)]], "f")
    assert "row 5, column 'a': 4 (int); and 4 more, where a text must stand. C" in str(error.value)


def test_the_keys_for_which_conversations_are_not_read_are_named_once() -> None:
    calls = [{"function": {"name": "sing"}}]
    rows = [[TURN, {**REPLY, "tool_calls": calls, "weight": n}] if n % 2 else [TURN, REPLY] for n in range(16)]
    rows[1][1]["weight"] = rows[3][1]["weight"] = None
    with pytest.raises(ValueError) as error:
        check_rows(["messages"], ["m"], [[*rows, []]], "f")
    message = str(error.value)
    assert "f: rows 2, 4, column 'm': a turn with `tool_calls`; " in message
    assert "; rows 6, 8, 10, 12, 14 and 1 more, column 'm': a turn with `tool_calls`, `weight`; " in message
    assert "; row 17, column 'm': [] (list), where a list of messages" in message
    assert message.count("must stand") == message.count("where a list") == 1 and "sing" not in message


def test_words_need_as_many_tags() -> None:
    words, tags = [["a", "b"], ["a", "b"], ["a"]], [["O", "O"], ["O"], ["O", "B-x"]]
    check_rows(["words", "tags"], ["tokens", "ner"], [words[:1], tags[:1]], "f")
    with pytest.raises(
        ValueError,
        match=r"^f: row 5: 2 word\(s\) and 1 tag\(s\); row 8: 1 word\(s\) and 2 tag\(s\)\. Correct or remove",
    ):
        check_rows(["words", "tags"], ["tokens", "ner"], [words, tags], "f", [1, 4, 7])


def test_answers_stand_where_they_are_said_to_start() -> None:
    contexts = ["the fox ran", "the fox ran", "the fox ran"]
    check_answers(contexts, [[(4, "fox")], [], [(0, "the"), (8, "ran")]], "a.json")
    for start, text in ((5, "fox"), (-3, "ran"), (0, ""), (4, "cat")):
        with pytest.raises(ValueError, match=r"^a\.json: row 8: the answer .* does not stand in its context at char"):
            check_answers(contexts[:2], [[(4, "fox")], [(start, text)]], "a.json", [4, 7])
