"""Tiny teachers, students and held-out pairs of random tokens, for measuring interchange accuracy."""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM, Lfm2Config

from causalkd.alignment.resolve import ResolvedAlignment, resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.task_types import Task
from tests.tiny import LABELS, PAD, VOCABULARY, tiny

MIDDLE = """
name: middle
positions: {policy: consecutive, fraction: 0.5}
pairs:
  - {name: middle, teacher: [{layer: 1}], student: [{layer: 0}]}
"""


def teacher_and_student(
    architecture: str = "bert", task: Task = "classification", layers: tuple[int, int] = (3, 2)
) -> tuple[HookedModel, HookedModel]:
    """Two unrelated tiny models of one architecture."""
    return tuple(
        HookedModel(tiny(architecture, task, seed, depth), task=task, role=role)
        for seed, depth, role in ((0, layers[0], "teacher"), (1, layers[1], "student"))
    )


def hybrid(kinds: str, role: Role, seed: int = 0) -> HookedModel:
    """A tiny causal language model, of which only the layers written `A` have attention; the others, `C`, convolve."""
    torch.manual_seed(seed)
    names = {"A": "full_attention", "C": "conv"}
    config = Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=len(kinds),
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=[names[kind] for kind in kinds],
        pad_token_id=PAD,
        block_multiple_of=8,
    )
    return HookedModel(AutoModelForCausalLM.from_config(config).eval(), task="causal_lm", role=role)


def examples(task: Task, n: int = 40, seed: int = 0) -> list[dict]:
    """Rows of 5 to 11 random tokens with random labels of the task's kind."""
    random = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=random).tolist()

    rows = []
    for length in draw(5, 12, n):
        tokens = draw(4, VOCABULARY, length)
        label = {
            "classification": draw(0, LABELS, 1)[0],
            "multi_label": tuple(token % 2 for token in tokens[:LABELS]),
            "regression": draw(0, 50, 1)[0] / 10,
            "token_classification": [-100, *draw(0, LABELS, length - 2), -100],
            "masked_lm": [token if index % 3 == 1 else -100 for index, token in enumerate(tokens)],
            "causal_lm": tokens,
            "question_answering": (1, draw(1, 4, 1)[0]),
        }[task]
        rows.append({"input_ids": tokens, "label": label})
    return rows


def pairs_of(
    teacher: HookedModel, student: HookedModel, alignment: str = MIDDLE, n: int = 40, batch_size: int = 16
) -> tuple[ResolvedAlignment, Sequence[Batch]]:
    """The alignment against these models, and batches of `n` pairs with the positions it asks for."""
    declared = Alignment.from_yaml(alignment)
    rows = examples(teacher.task)
    batches = pair_batches(rows, evaluation_pairs(rows, n, 0), declared.policies(), batch_size, PAD)
    return resolve(declared, teacher, student), batches
