"""The attribution maps of several models for the same texts at every depth, and their faithfulness."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.attribution.agreement import random_scores
from causalkd.attribution.faithfulness import Faithfulness, faithfulness
from causalkd.attribution.integrated_gradients import Baseline
from causalkd.attribution.maps import AttributionMap, attribution_maps
from causalkd.attribution.targets import (
    CLASSES,
    Target,
    Views,
    check_explicable,
    class_views,
    logits_at,
    token_views,
)
from causalkd.data.batch import Batch, check_one_reading
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.vocabularies import entries_without_text
from causalkd.processes.processes import ALONE, Processes
from causalkd.verification.interventions.predictions import counted_positions


@dataclass(frozen=True)
class MapSettings:
    """The settings of maps and of their faithfulness.

    Attributes:
        steps: Number of steps of integrated gradients.
        baseline: Start of the integration path.
        portions: Number of portions in which a text's tokens are removed.
        random_orders: Number of random orders that a map's order is compared with.
        seed: Seed of the random orders.
    """

    steps: int
    baseline: Baseline
    portions: int
    random_orders: int
    seed: int


@dataclass(frozen=True, eq=False)
class AttributionBatch:
    """Some texts, and the views that every model explains.

    Attributes:
        batch: The texts.
        views: The outputs that maps explain: every class; for a per-token head the teacher's likeliest token at the
            last position that counts.
        predicted_view: For each text the view that the teacher predicts, for which faithfulness is measured in every
            model.
    """

    batch: Batch
    views: Views
    predicted_view: Int[Tensor, "batch"]

    @classmethod
    def of(cls, teacher: HookedModel, batch: Batch) -> "AttributionBatch":
        """The views of a batch by the teacher's predictions; costs one forward.

        Raises:
            ValueError: The head predicts neither classes nor tokens, or the models have different tokenizers.
        """
        check_one_reading(batch, "an agreement of maps")
        task, rows = teacher.task, len(batch.counted)
        check_explicable(task)
        if task in CLASSES:
            logits = teacher.run(batch.inputs).logits
            return cls(batch, class_views(logits.shape[1], rows, logits.device), logits.argmax(1))
        zeros = torch.zeros(rows, dtype=torch.long, device=batch.counted.device)
        counted = counted_positions(task, batch)
        # In a row without a label, such as a short one of a masked LM, every token of the text counts.
        counted = counted | (_of_text(teacher, batch) & ~counted.any(1, keepdim=True))
        counted = counted | (batch.counted & ~counted.any(1, keepdim=True))
        last = counted.shape[1] - 1 - counted.long().flip(1).argmax(1)
        logits = teacher.run(batch.inputs, logits_at=logits_at(Views(zeros[None], last), counted.shape[1])).logits
        return cls(batch, token_views(logits, last, 1), zeros)


def _of_text(model: HookedModel, batch: Batch) -> Bool[Tensor, "batch pos"]:
    """The tokens that are not special: the predictions at special tokens have no meaning."""
    if model.tokenizer is None:
        return batch.counted
    ids = batch.inputs["input_ids"]
    return batch.counted & ~torch.isin(ids, torch.tensor(entries_without_text(model.tokenizer), device=ids.device))


@dataclass(frozen=True, eq=False)
class ModelAttributions:
    """One model's maps, at the embedding output and after each block, and the faithfulness of the first."""

    maps: tuple[AttributionMap, ...]
    faithfulness: Faithfulness


def measure_maps(
    model: HookedModel,
    questions: Sequence[AttributionBatch],
    settings: MapSettings,
    processes: Processes = ALONE,
) -> ModelAttributions:
    """The maps of one model at every depth; for the costs see `integrated_gradients` and `faithfulness`.

    Args:
        model: The model that is explained.
        questions: The texts and views to explain; in every process the same.
        settings: The settings.
        processes: The processes that share the questions; each then has the maps of all.
    """
    target: Target = "logit" if model.task == "regression" else "probability"
    mine, generator = processes.share(len(questions)), torch.Generator().manual_seed(settings.seed)
    points, maps, faithful = depths(model), [], []
    for number, q in enumerate(questions):
        if number not in mine:  # its random orders are drawn too, so that all processes draw the same
            for _ in range(settings.random_orders):
                random_scores(q.batch.counted.double(), generator)
            continue
        at_depths = attribution_maps(
            model, q.batch.inputs, q.views, points, steps=settings.steps, baseline=settings.baseline, target=target
        )
        of_first = _faithfulness(model, q, at_depths[0], settings, generator)
        maps.append(at_depths)
        faithful.append(Faithfulness(*(values.cpu() for values in vars(of_first).values())))
    maps, faithful = processes.together((maps, faithful))
    return ModelAttributions(tuple(map(AttributionMap.join, zip(*maps, strict=True))), Faithfulness.join(faithful))


def depths(model: HookedModel) -> list[HookPoint]:
    """The embedding output, and the output of each block."""
    return [
        model.hook_point("block_input", 0),
        *(model.hook_point("block_output", layer) for layer in range(model.n_layers)),
    ]


def _faithfulness(
    model: HookedModel,
    question: AttributionBatch,
    found: AttributionMap,
    settings: MapSettings,
    generator: torch.Generator,
) -> Faithfulness:
    predicted, views = question.predicted_view[None], question.views
    scores = found.scores.gather(0, predicted.cpu()[..., None].expand(1, *found.mask.shape))
    return faithfulness(
        model,
        question.batch.inputs,
        Views(views.choice.gather(0, predicted), views.position),
        scores,
        generator=generator,
        portions=settings.portions,
        random_orders=settings.random_orders,
    )
