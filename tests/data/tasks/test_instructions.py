"""Instructions as examples: what is read and what is learnt, what is cut, left out or refused."""

import json
from pathlib import Path

import pytest

from causalkd.data.tasks.instructions import Instruction, instruction_examples, prompt_ids, reply_end
from causalkd.data.tasks.loading import load_examples
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like

ROWS = [Instruction("who ran ?", "the fox ran .", "the fox"), Instruction("sing .", "", "birds sing and dog")]
CHAT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}"
CHAT += "{% if add_generation_prompt %}<a>{% endif %}"


def chat_tokenizer():
    tokenizer = llama_like()
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", bos_token="<s>")
    tokenizer.chat_template = CHAT
    return tokenizer


@pytest.mark.parametrize("make", [gpt2_like, llama_like])
def test_the_prompt_is_alpacas_and_the_response_is_labelled(make):
    tokenizer = make()
    for example, row in zip(instruction_examples(ROWS, tokenizer, 400).examples, ROWS, strict=True):
        start, stop = example["segments"]["response"]
        assert example["segments"]["prompt"] == (0, start) and stop == len(example["input_ids"])
        prompt = tokenizer.decode(example["input_ids"][:start], skip_special_tokens=True)
        assert f"### Instruction:\n{row.instruction}" in prompt or make is llama_like
        assert ("Input" in prompt) == bool(row.input) or make is llama_like
        assert tokenizer.decode(example["input_ids"][start:-1]).strip() == row.response
        assert example["input_ids"][-1] == tokenizer.eos_token_id
        assert example["label"] == [-100] * start + example["input_ids"][start:]
    assert (example["input_ids"][0] == tokenizer.bos_token_id) == (make is llama_like)


def test_the_prompt_equals_that_of_the_evaluation_files(data_folder):
    lines = (data_folder / "instruct/dolly_eval.jsonl").read_text().splitlines()[:50]
    for row in map(json.loads, lines):
        (ids,) = prompt_ids([Instruction(row["instruction"], row["input"], "")], gpt2_like())
        assert gpt2_like().decode(ids) == row["prompt"]


def test_a_chat_template_is_the_tokenizers_own():
    tokenizer = chat_tokenizer()
    (ids, _) = prompt_ids(ROWS, tokenizer, "chat")
    assert ids == tokenizer("<user>who ran ?\n\nthe fox ran .</s><a>", add_special_tokens=False)["input_ids"]
    with pytest.raises(ValueError, match="has no chat template, and the prompt style 'chat' needs one"):
        instruction_examples(ROWS, gpt2_like(), 400, "chat")


CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
CHATML += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def test_a_reply_ends_as_the_template_ends_it_and_not_with_the_end_of_a_text():
    tokenizer = gpt2_like()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end != tokenizer.eos_token_id and reply_end(tokenizer, "chat") == [end]
    for example in instruction_examples(ROWS, tokenizer, 400, "chat").examples:
        assert example["label"][-1] == example["input_ids"][-1] == end
    assert reply_end(tokenizer) == [tokenizer.eos_token_id]
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    assert reply_end(tokenizer, "chat") == [tokenizer.eos_token_id], "the template ends no turn"


def test_a_template_that_refuses_is_reported():
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no user here') }}"
    with pytest.raises(ValueError, match="refuses a user's message: TemplateError: no user here"):
        prompt_ids(ROWS, tokenizer, "chat")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ messages[0", "TemplateSyntaxError: "),
        ("{{ 1 / 0 }}", "ZeroDivisionError: "),
        ("{{ messages[0].content + 1 }}", "TypeError: "),
        ("{{ messages | nofilter }}", "No filter named 'nofilter'"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError: "),
        ("{% for i in range(10 ** 12) %}x{% endfor %}", "Range too big"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError: "),
    ],
)
def test_a_template_that_is_wrong_is_told_with_where_it_stands(template: str, told: str) -> None:
    """jinja and Python raise nearly every kind of error out of a template."""
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError) as caught:
        prompt_ids(ROWS, tokenizer, "chat")
    assert told in str(caught.value)
    assert str(caught.value).startswith("the chat template of ")
    assert str(caught.value).endswith("correct `chat_template` (chat_template.jinja or tokenizer_config.json)")


def test_what_does_not_fit_is_cut_or_left_out_and_counted():
    tokenizer = gpt2_like()
    (_, length) = (len(ids) for ids in prompt_ids(ROWS, tokenizer))
    made = instruction_examples([*ROWS, ROWS[1]._replace(response="")], tokenizer, length + 2)
    # The first prompt is longer than a row, the last response has no token.
    assert (len(made.examples), made.truncated, made.left_out) == (1, 1, 2)
    assert len(made.examples[0]["input_ids"]) == length + 2
    with pytest.raises(ValueError, match="none of 2 rows has a response and a prompt shorter than max_length 5"):
        instruction_examples(ROWS, tokenizer, 5)


def test_a_tokenizer_without_an_end_is_refused():
    with pytest.raises(ValueError, match="has no end token"):
        instruction_examples(ROWS, bert_like(), 400)


def test_files_become_examples_and_the_summary_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "instruct/alpaca_en_demo.jsonl"
    path.parent.mkdir()
    rows = [{"instruction": "sing .", "output": "birds"}, {"instruction": "run .", "input": "fox", "output": ""}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    loaded = load_examples("instruct", "train", gpt2_like(), max_length=400, model_limit=400)
    assert (loaded.kind, loaded.metric, loaded.left_out) == ("causal_lm", "perplexity", 1)
    assert loaded.summary().endswith("1 left out: no response, or a prompt as long as a row")
