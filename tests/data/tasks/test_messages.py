import pytest

from causalkd.data.tasks.encode import RowNames
from causalkd.data.tasks.messages import as_messages, refuse_tools


def test_turns_in_sharegpts_form_become_messages() -> None:
    turns = [{"from": "system", "value": "Be kind"}, {"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
    assert [(turn["role"], turn["content"]) for turn in as_messages(turns)] == [
        ("system", "Be kind"),
        ("user", "hi"),
        ("assistant", "yo"),
    ]


def test_anything_else_stays_as_it_is_and_is_checked_afterwards() -> None:
    messages = [{"role": "user", "content": "hi", "from": "human"}]
    for value in (messages, None, "text", ["text"], [{"from": "narrator", "value": "x"}], [{"from": None}]):
        assert as_messages(value) is value
    assert as_messages([{"from": "gpt", "weight": 0}]) == [{"role": "assistant", "content": None, "weight": 0}]


def test_tools_are_refused_by_their_row_in_the_file_and_their_absence_is_not() -> None:
    refuse_tools([None, [], "", "[]", " [ ]\n", "{}", "null", {}], RowNames("a.jsonl"))
    for tools in ([{"name": "sing"}], '[{"name": "sing"}]', {"name": "sing"}, "sing"):
        with pytest.raises(ValueError, match=r"^row 10 of a\.jsonl: the column 'tools' .*Remove such rows"):
            refuse_tools([None, tools], RowNames("a.jsonl", [3, 9]))
