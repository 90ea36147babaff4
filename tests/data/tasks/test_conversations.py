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


def test_templates_that_cannot_be_used_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = gpt2_like()
    with pytest.raises(ValueError, match="has no chat template"):
        conversation_examples([TURNS], tokenizer, 64)
    monkeypatch.setattr(tokenizer, "chat_template", CHANGING)
    with pytest.raises(ValueError, match="changes earlier turns of row 1 when"):
        conversation_examples([TURNS], tokenizer, 64)
