"""Every head of every architecture is right or refused: none crashes, none is wrong."""

import pytest

from causalkd.task_types import Task
from tests.architectures.checks import CRASHED, WRONG, check, expected
from tests.architectures.zoo import heads, tasks_of

# One head of each kind of architecture.
CHEAP: tuple[tuple[str, Task], ...] = (
    # Blocks return tuples, or lists.
    ("falcon", "question_answering"),
    ("bloom", "token_classification"),
    ("gptj", "classification"),
    ("gpt_neo", "causal_lm"),
    ("mpt", "causal_lm"),
    ("codegen", "causal_lm"),
    ("openai-gpt", "causal_lm"),
    # Mixtures of experts and other kinds of blocks.
    ("mixtral", "causal_lm"),
    ("qwen2_moe", "token_classification"),
    ("qwen3_next", "causal_lm"),
    ("gemma3_text", "classification"),
    # Models that also read images or sound, and one whose blocks are counted by a list.
    ("llava", "causal_lm"),
    ("qwen2_5_vl", "causal_lm"),
    ("qwen2_audio", "causal_lm"),
    ("llama4", "causal_lm"),
    ("nemotron_h", "causal_lm"),
    # Encoders, and decoders that count positions from 2.
    ("xlm-roberta", "token_classification"),
    ("roberta", "causal_lm"),
    ("camembert", "masked_lm"),
    ("electra", "classification"),
    ("mpnet", "question_answering"),
    ("deberta-v2", "masked_lm"),
    ("albert", "classification"),
    ("modernbert", "masked_lm"),
)
# What cannot be hooked by a layer's number, what cannot be padded on the left, what would not be saved as it is.
REFUSED = {
    "bart": "is an encoder-decoder model",
    "rwkv": "a row that is padded on the left differs from the row alone",
    "deepseek_v4": "is not a tensor of rows, positions and columns",
    "youtu": "sets the embedding of its padding token to zero",
}


@pytest.mark.parametrize(("model_type", "task"), CHEAP)
def test_a_head_of_each_kind_is_right(model_type: str, task: Task) -> None:
    assert dict(check(model_type, task).results) == expected(task)


@pytest.mark.parametrize(("model_type", "reason"), REFUSED.items())
def test_what_cannot_be_right_is_refused(model_type: str, reason: str) -> None:
    results = check(model_type, tasks_of(model_type)[0]).results
    assert all(result.startswith("refused: ") and reason in result for result in results.values()), results


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model_type", "task", "head"), list(heads()))
def test_every_head_is_right_or_refused(model_type: str, task: Task, head: str) -> None:
    try:
        results = check(model_type, task, head).results
    except ImportError as error:
        pytest.skip(str(error))
    assert not [result for result in results.values() if result.startswith((WRONG, CRASHED))], results
