"""Maps and faithfulness of a few texts in batches, beside one forward after the other: calls of the models."""

from collections.abc import Callable
from dataclasses import replace

import torch

from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.measures.attribution_maps import AttributionBatch, MapSettings, measure_maps
from tests.benchmarks.row import Row
from tests.benchmarks.setting import SMOKE, Setting, student_of, teacher_of
from tests.oracles.attribution import one_by_one

# As many texts, and as long, as the gallery's table of sentence pairs.
_TEXTS, _SHORTEST, _LONGEST = 12, 26, 70


def forwards(setting: Setting, measure: Callable[[HookedModel, list[AttributionBatch], MapSettings], object]) -> int:
    """How often teacher and student are called."""
    texts, steps = (4, 4) if setting.rounds == SMOKE.rounds else (_TEXTS, 32)
    shape = replace(SMOKE, teacher_layers=6, student_layers=3, tokens=_LONGEST, task="classification")
    models = [
        HookedModel(teacher_of(shape), task="classification", role="teacher"),
        HookedModel(student_of(shape).eval(), task="classification", role="student"),
    ]
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(_SHORTEST, _LONGEST, texts).long()
    tokens = torch.randint(4, shape.vocabulary, (texts, _LONGEST), generator=generator)
    real = torch.arange(_LONGEST) < lengths[:, None]
    inputs = {"input_ids": tokens.where(real, 0), "attention_mask": real.long()}
    questions = [AttributionBatch.of(models[0], Batch(inputs))]
    calls: list[None] = []
    for model in models:
        model.model.register_forward_pre_hook(lambda *_: calls.append(None))
        measure(model, questions, MapSettings(steps, "mean", portions=8, random_orders=4, seed=0))
    return len(calls)


def rows(setting: Setting) -> list[Row]:
    """`attribute_mrpc`."""
    ratio = forwards(setting, measure_maps) / forwards(setting, one_by_one)
    return [Row("attribute_mrpc", ratio, 0.2, None, "ratio of forwards")]
