import pytest

from causalkd.data.tasks.conversations import conversation_examples
from tests.data.tiny_tokenizers import gpt2_like

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CHANGING = "{{ messages | length }}" + TEMPLATE
TURNS = [{"role": role, "content": "the fox"} for role in ("user", "assistant")]


def test_only_the_assistant_is_learnt_and_rows_without_it_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = gpt2_like()
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATE)
    made = conversation_examples([TURNS, TURNS[:1], TURNS], tokenizer, 128)
    assert (len(made.examples), made.left_out, made.truncated) == (2, 1, 0)
    example = made.examples[0]
    assert tokenizer.decode([label for label in example["label"] if label >= 0]) == "the fox</s>"
    assert example["bytes"] == len("the fox</s>")
    assert example["segments"]["response"] == (example["segments"]["prompt"][1], len(example["input_ids"]))
    length = example["segments"]["prompt"][1] + 1
    assert conversation_examples([TURNS], tokenizer, length).truncated == 1


def test_a_reply_after_a_prompt_that_ends_in_a_space_is_learnt_from_its_first_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = gpt2_like()
    bot = "{% for m in messages %}{{ 'bot: ' if m.role == 'assistant' }}{{ m.content }}\n{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", bot + "{% if add_generation_prompt %}bot: {% endif %}")
    (example,) = conversation_examples([TURNS], tokenizer, 128).examples
    assert tokenizer.decode([label for label in example["label"] if label >= 0]) == " the fox\n"


def test_a_turn_of_a_tool_is_read_and_not_learnt_and_one_that_a_template_drops_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a line's end, as such texts have, which a template may write as JSON does."""
    tokenizer, tool = gpt2_like(), {"role": "tool", "content": "dog\ncat"}
    row = [TURNS[0], tool, TURNS[1]]
    for template in (
        TEMPLATE,
        TEMPLATE.replace("m.content }}", "m.content | tojson if m.role == 'tool' else m.content }}"),
    ):
        monkeypatch.setattr(tokenizer, "chat_template", template)
        (example,) = conversation_examples([row], tokenizer, 128).examples
        assert "dog" in tokenizer.decode(example["input_ids"])
        assert tokenizer.decode([label for label in example["label"] if label >= 0]) == "the fox</s>"
    dropping = TEMPLATE.replace("in messages %}", "in messages if m.role in ('user', 'assistant') %}")
    monkeypatch.setattr(tokenizer, "chat_template", dropping)
    for role in ("tool", "system"):
        with pytest.raises(ValueError, match=rf"does not write turn 2 of row 2, whose role is '{role}', so the model"):
            conversation_examples([TURNS, [TURNS[0], {**tool, "role": role}, TURNS[1]]], tokenizer, 128)
    conversation_examples([[TURNS[0], {**tool, "content": " "}, TURNS[1]]], tokenizer, 128)


def test_templates_that_cannot_be_used_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = gpt2_like()
    with pytest.raises(ValueError, match="has no chat template"):
        conversation_examples([TURNS], tokenizer, 64)
    monkeypatch.setattr(tokenizer, "chat_template", CHANGING)
    with pytest.raises(ValueError, match="changes earlier turns of row 1 when"):
        conversation_examples([TURNS], tokenizer, 64)
