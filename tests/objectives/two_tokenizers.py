"""A teacher and a student with different tokenizers, in float64, and what stock models say of the same texts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from transformers import TrainingArguments

from causalkd.data.batch import IGNORED, Batch
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.tasks.loading import Examples
from causalkd.data.token_mask import with_positions
from causalkd.models.configs import make_config
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import model_from_config
from causalkd.objectives.base import Objective, Weighted
from causalkd.task_types import Task
from causalkd.training.trainer import DistillationTrainer
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like
from tests.data.two_readings import FIRST, SECOND, padded, pairs_read_twice, tags_read_twice
from tests.oracles.two_tokenizers import carried, characters

LENGTHS = (18, 30)
POLICIES = {"first": PositionPolicy(policy="consecutive", fraction=0.9)}
SOURCES = [2, 0, 3, 1]
_SIZES = {
    "bert": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 3},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 3, "n_positions": 64},
    "gpt_neox": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 3},
}
_TOKENIZERS = {"bert": bert_like, "gpt2": gpt2_like, "gpt_neox": llama_like}


class Pair(NamedTuple):
    """Both models, and their examples."""

    teacher: HookedModel
    student: HookedModel
    examples: Examples

    def collator(self, **options: Any) -> PairingCollator:
        """A collator of both readings."""
        assert self.teacher.tokenizer is not None and self.student.tokenizer is not None
        pads = self.teacher.tokenizer.pad_token_id, self.student.tokenizer.pad_token_id
        return PairingCollator(self.examples.examples, POLICIES, pads[0], student_pad_id=pads[1], seed=5, **options)

    def batch(self, *, inside: bool = False) -> Batch:
        """All rows, with sources that are rows of the batch or separate ones."""
        collator = self.collator()
        if inside:
            return Batch.from_tensors(collator([ExampleSet(self.examples.examples)[n] for n in range(4)]))
        return with_positions(collator.pair(torch.arange(4), torch.tensor(SOURCES), torch.arange(4)))

    def drawn(self, sources: Sequence[int]) -> list[list[tuple[int, int]]]:
        """The pairs of token numbers that are drawn for the teacher alone."""
        alone = replace(self.collator(), student_pad_id=None)
        batch = alone.pair(torch.arange(4), torch.tensor(sources), torch.arange(4))
        found = batch.positions["first"]
        rows = zip(found.base, found.source, found.valid, strict=True)
        return [list(zip(b[v].tolist(), s[v].tolist(), strict=True)) for b, s, v in rows]

    def positions(self, sources: Sequence[int]) -> tuple[list, list]:
        """The pairs of positions of both models, found by comparing characters."""
        texts = [(" ".join(text.split()),) for text in FIRST]
        if self.examples.kind != "token_classification":
            texts = list(zip(FIRST, SECOND, strict=True))
        sets = [
            [characters(model.tokenizer, of_row, length) for of_row in texts]
            for model, length in zip(self[:2], LENGTHS, strict=True)
            if model.tokenizer is not None
        ]
        both = [
            carried(drawn, (sets[0][row], sets[1][row]), (sets[0][sources[row]], sets[1][sources[row]]))
            for row, drawn in enumerate(self.drawn(sources))
        ]
        return [kept for kept, _ in both], [own for _, own in both]

    def places(self, model: HookedModel) -> list[tuple[int, int]]:
        """The row and the place of the first token of every word of which both models have one."""
        rows = self.examples.examples
        if model is self.student:
            return [(n, place) for n, row in enumerate(rows) for place in row["student"]["labelled"]]
        return [
            (n, place) for n, row in enumerate(rows) for place, label in enumerate(row["label"]) if label != IGNORED
        ]

    def stock(self, model: HookedModel, order: Sequence[int] = range(4)) -> dict[str, torch.Tensor]:
        """What the model's own tokenizer makes of the texts, in this order."""
        length = LENGTHS[model is self.student]
        texts = [[side[number] for number in order] for side in (FIRST, SECOND)]
        if self.examples.kind == "token_classification":
            texts = [[" ".join(text.split()) for text in texts[0]]]
        assert model.tokenizer is not None
        made = model.tokenizer(*texts, truncation="longest_first", max_length=length, padding=True, return_tensors="pt")
        return dict(made)


def pair_of(task: Task, teacher: str = "bert", student: str = "gpt2", draw: int = 0) -> Pair:
    """Two tiny models, and four pairs of texts, or four tagged sentences."""
    tokenizers = [padded(_TOKENIZERS[kind]()) for kind in (teacher, student)]
    examples = (tags_read_twice if task == "token_classification" else pairs_read_twice)(*tokenizers, LENGTHS)
    labels = examples.labels if task != "regression" else None
    if task in ("regression", "multi_label"):
        rows = [
            {**row, "label": (n % 2, 1) if task == "multi_label" else n / 3} for n, row in enumerate(examples.examples)
        ]
        examples = replace(examples, examples=rows, kind=task)
    models = []
    for seed, (kind, tokenizer) in enumerate(zip((teacher, student), tokenizers, strict=True)):
        config = make_config({"model_type": kind, **_SIZES[kind]}, tokenizer)
        role = "student" if seed else "teacher"
        made = model_from_config(config, tokenizer, task=task, role=role, labels=labels, seed=seed)
        made.model.double().eval()
        torch.manual_seed(2 * draw + seed)
        for weight in made.model.parameters():
            weight.data += 0.3 * torch.randn_like(weight)
        models.append(made)
    pair = Pair(*models, examples)
    _balance(pair)
    return pair


shared_pair = cache(pair_of)
"""The same pair at every call, for tests that leave its models as they are."""


def _balance(pair: Pair) -> None:
    """Lets a teacher with a bias predict both classes, so that interventions change predictions."""
    head = getattr(pair.teacher.model, "classifier", None)
    if pair.teacher.task == "classification" and isinstance(head, torch.nn.Linear):
        with torch.no_grad():
            head.bias -= pair.teacher.model(**pair.stock(pair.teacher)).logits.median(0).values


def trained(pair: Pair, objective: Objective, folder: str, **collating: Any) -> DistillationTrainer:
    """A trainer of one objective."""
    args = TrainingArguments(
        folder, max_steps=1, per_device_train_batch_size=4, report_to="none", use_cpu=True, logging_steps=1
    )
    return DistillationTrainer(
        pair.student,
        {"one": Weighted(1.0, objective)},
        pair.teacher,
        args=args,
        train_dataset=ExampleSet(pair.examples.examples),
        data_collator=replace(pair.collator(), **collating),
    )


def as_rows(batch: Batch) -> list[list[int]]:
    """The real tokens of each row."""
    return [ids[real].tolist() for ids, real in zip(batch.inputs["input_ids"], batch.counted, strict=True)]
