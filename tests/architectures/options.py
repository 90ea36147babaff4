"""Ways in which a model of one architecture can be held: the same checks as of the architectures."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.models.lora import add_lora
from causalkd.models.self_test import self_test
from causalkd.models.students import student_from_teacher
from tests.architectures.checks import interchanges, logits_are_stock, result_of, saved
from tests.architectures.training import METHODS, unmoved
from tests.architectures.zoo import tiny_config
from tests.data.tiny_tokenizers import gpt2_like
from tests.tiny import HEADS, VOCABULARY, WIDTH, _widen

COLUMNS = ("load", "interchange", "save", *METHODS)
Pair = tuple[HookedModel, HookedModel]


def _stock(seed: int, *, tied: bool = False, vocabulary: int = VOCABULARY, width: int = WIDTH) -> PreTrainedModel:
    config = tiny_config("llama", "causal_lm")
    config.tie_word_embeddings, config.vocab_size = tied, vocabulary
    config.hidden_size, config.intermediate_size, config.head_dim = width, 2 * width, width // HEADS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        _widen(model)
    return model.eval()


def _pair(make: Callable[[int], PreTrainedModel]) -> Pair:
    return (
        HookedModel(make(0), task="causal_lm", role="teacher"),
        HookedModel(make(1), task="causal_lm", role="student"),
    )


def _lora() -> Pair:
    teacher, student = _pair(_stock)
    add_lora(student, rank=2)
    return teacher, student


def _bfloat16() -> Pair:
    """A checkpoint in bfloat16: the teacher stays in it, the student learns in float32."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(("teacher", "student")):
            _stock(seed).to(torch.bfloat16).save_pretrained(Path(folder) / name)
        teacher = load_model(Path(folder) / "teacher", task="causal_lm", role="teacher")
        return teacher, load_model(Path(folder) / "student", task="causal_lm", role="student")


def _resized(seed: int) -> PreTrainedModel:
    model = _stock(seed)
    model.resize_token_embeddings(VOCABULARY + 7, mean_resizing=False)
    return model


def _padded() -> Pair:
    """Two models of one tokenizer, of which the teacher's vocabulary has more entries than the tokenizer."""
    tokenizer = gpt2_like()
    entries = len(tokenizer)
    teacher = HookedModel(_stock(0, vocabulary=entries + 8), tokenizer, task="causal_lm", role="teacher")
    return teacher, HookedModel(_stock(1, vocabulary=entries), gpt2_like(), task="causal_lm", role="student")


def _on_a_map() -> Pair:
    with tempfile.TemporaryDirectory() as folder:
        _stock(0).save_pretrained(folder)
        teacher = load_model(folder, task="causal_lm", role="teacher", device_map="cpu")
    return teacher, HookedModel(_stock(1), task="causal_lm", role="student")


def _checkpointing() -> Pair:
    teacher, student = _pair(_stock)
    student.model.activation_checkpointing_enable()
    return teacher, student


def _quantized(**bits: bool) -> Pair:
    """A teacher that is quantised when it is loaded, and a student cut from it, whose weights are plain numbers."""
    with tempfile.TemporaryDirectory() as folder:
        _stock(0, width=2 * WIDTH).save_pretrained(folder)  # 4-bit codes come in groups of 64
        teacher = load_model(
            folder, task="causal_lm", role="teacher", dtype=torch.float32, quantization=BitsAndBytesConfig(**bits)
        )
    return teacher, student_from_teacher(teacher, layers=[0, 2])


OPTIONS: Mapping[str, Callable[[], Pair]] = {
    "LoRA student": _lora,
    "bfloat16 checkpoints": _bfloat16,
    "tied embeddings": partial(_pair, partial(_stock, tied=True)),
    "resized vocabulary": partial(_pair, _resized),
    "padded vocabulary": _padded,
    'device_map="cpu"': _on_a_map,
    "gradient checkpointing": _checkpointing,
}


QUANTIZED: Mapping[str, Callable[[], Pair]] = {
    "8-bit teacher": partial(_quantized, load_in_8bit=True),
    "4-bit teacher": partial(_quantized, load_in_4bit=True),
}
"""The same, with a library that is not installed for the tests."""


def check_option(name: str) -> dict[str, str]:
    """The results of a tiny Llama that is held in a way."""
    return dict(_results({**OPTIONS, **QUANTIZED}[name]))


def _results(make: Callable[[], Pair]) -> Iterator[tuple[str, str]]:
    teacher, student = make()
    yield "load", result_of(lambda: _loaded(teacher) or _loaded(student))
    yield "interchange", result_of(lambda: interchanges(teacher, COMPONENTS) or interchanges(student, COMPONENTS))
    yield "save", result_of(lambda: saved(student))
    for method in METHODS:
        yield method, result_of(partial(_unmoved, method, make))


def _loaded(model: HookedModel) -> str | None:
    self_test(model)
    return logits_are_stock(model)


def _unmoved(method: str, make: Callable[[], Pair]) -> str | None:
    return unmoved(method, *make())
