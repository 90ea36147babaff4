"""Maps and results as `causalkd attribute` makes them, with made-up numbers: for tables, figures and pages."""

import torch

from causalkd.attribution.maps import AttributionMap, Provenance
from causalkd.verification.results.attribution import (
    TEACHER,
    AgreementRow,
    AttributionBaseline,
    AttributionResults,
    AttributionSettings,
    Estimate,
    FaithfulnessRow,
    GapRow,
    MapDistanceRow,
)

VIEWS = ("entailment", "contradiction", "neutral")


def example_maps(layers: int = 3, texts: int = 4, views: int = 3, seed: int = 0) -> tuple[AttributionMap, ...]:
    """Random scores of texts of 5, 6, … tokens, padded on the right, at the embedding and after each block."""
    random = torch.Generator().manual_seed(seed)
    width = 4 + texts
    mask = torch.arange(width) < 5 + torch.arange(texts)[:, None]
    tokens = tuple(
        tuple(f"word{place}" if place < 5 + text else "[PAD]" for place in range(width)) for text in range(texts)
    )
    names = tuple((view,) * texts for view in VIEWS[:views])

    def draw(place: str) -> AttributionMap:
        scores = torch.randn(views, texts, width, generator=random).where(mask, 0)
        made = Provenance("BertForSequenceClassification", place, "probability", 8, "mean", "sum", "sdpa")
        return AttributionMap(scores, mask, tokens, names, 0.1 * scores.sum(-1), made)

    return tuple(map(draw, ("blocks.0.hook_in", *(f"blocks.{layer}.hook_out" for layer in range(layers)))))


def example_results(students: tuple[str, ...] = ("kd", "adkd"), seeds: int = 2, layers: int = 2) -> AttributionResults:
    """Later students agree better and are more faithful, a random map agrees by chance only."""
    agreement, faithful, gaps = [], [_faithful(TEACHER, None, "measured", 0.8)], [_gap(TEACHER, None, 0)]
    for rank, name in enumerate(students):
        for seed in range(seeds):
            for layer in range(layers + 1):
                strength = {
                    "measured": 0.4 + 0.1 * rank + 0.05 * layer + 0.01 * seed,
                    "random_map": 0.0,
                    "untrained_student": 0.1,
                }
                agreement += [_agreement(name, seed, baseline, layer, value) for baseline, value in strength.items()]
                gaps.append(_gap(name, seed, layer))
            faithful += [
                _faithful(name, seed, "measured", 0.7 + 0.05 * rank),
                _faithful(name, seed, "untrained_student", 0.9),
            ]
    settings = AttributionSettings(
        64, "every class: " + ", ".join(VIEWS), "probability", 32, "mean", "sum", 0.25, 8, 4, 0
    )
    return AttributionResults(settings, tuple(range(64)), tuple(agreement), tuple(faithful), tuple(gaps))


def example_distances(students: tuple[str, ...] = ("kd", "adkd"), seeds: int = 2) -> tuple[MapDistanceRow, ...]:
    """The distances in the one term that the last student learned; later students are nearer."""
    return tuple(
        MapDistanceRow(name, seed, baseline, students[-1], value + 0.01 * seed, 128)
        for rank, name in enumerate(students)
        for seed in range(seeds)
        for baseline, value in (("measured", 0.05 - 0.02 * rank), ("untrained_student", 0.4))
    )


def _estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, 64)


def _agreement(name: str, seed: int, baseline: AttributionBaseline, layer: int, value: float) -> AgreementRow:
    place = "blocks.0.hook_in" if layer == 0 else f"blocks.{layer - 1}.hook_out"
    measures = (_estimate(value), _estimate(0.9 * value), _estimate(0.27 + 0.5 * value))
    return AgreementRow(name, seed, baseline, layer, place, place, *measures, overlap_chance=0.27)


def _faithful(model: str, seed: int | None, baseline: AttributionBaseline, value: float) -> FaithfulnessRow:
    raw = 0.01 if baseline == "untrained_student" else 0.5 * value
    measures = (raw, raw - 0.01, value, 1 - value, 0.5)
    return FaithfulnessRow(model, seed, baseline, *map(_estimate, measures))


def _gap(model: str, seed: int | None, layer: int) -> GapRow:
    return GapRow(model, seed, f"layer {layer}", 0.01 * (layer + 1), 0.4, "sdpa")
