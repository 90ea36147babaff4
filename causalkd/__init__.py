"""Causal distillation of language models: the public names.

Importing this package executes nothing: a name is imported from its module when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalkd.alignment.interchange import hook_points_needed, interchange
    from causalkd.alignment.presets import preset
    from causalkd.alignment.resolve import resolve
    from causalkd.alignment.spec import Alignment, Site, SitePair
    from causalkd.attribution.agreement import agreement
    from causalkd.attribution.faithfulness import faithfulness
    from causalkd.attribution.maps import AttributionMap, attribution_map
    from causalkd.attribution.targets import class_views, label_views, token_views
    from causalkd.data.batch import Batch
    from causalkd.data.pairs.collator import ExampleSet, PairingCollator, evaluation_pairs, pair_batches
    from causalkd.data.pairs.position_policy import PositionPolicy
    from causalkd.data.pairs.positions import Positions
    from causalkd.data.synthetic.nli import PlantedNLI
    from causalkd.data.synthetic.stories import PlantedLM
    from causalkd.data.tasks.loading import load_examples
    from causalkd.models.hooks.hooked_model import HookedModel
    from causalkd.models.load import load_model, student_from_teacher
    from causalkd.objectives.adkd import ADKD
    from causalkd.objectives.atkd import ATKD, DKD
    from causalkd.objectives.base import Weighted
    from causalkd.objectives.diito import DIITO, DIITOHidden
    from causalkd.objectives.hidden_kd import HiddenKD
    from causalkd.objectives.response_kd import ResponseKD, TaskLoss
    from causalkd.recipe.recipe import Recipe
    from causalkd.reporting.tables import as_text
    from causalkd.runs.attribute import attribute
    from causalkd.runs.distill import distill, verify
    from causalkd.runs.map_files import load_maps
    from causalkd.training.trainer import DistillationTrainer
    from causalkd.verification.measures.iia import measure
    from causalkd.verification.results.report import VerificationReport

__all__ = [
    "ADKD",
    "ATKD",
    "DIITO",
    "DKD",
    "Alignment",
    "AttributionMap",
    "Batch",
    "DIITOHidden",
    "DistillationTrainer",
    "ExampleSet",
    "HiddenKD",
    "HookedModel",
    "PairingCollator",
    "PlantedLM",
    "PlantedNLI",
    "PositionPolicy",
    "Positions",
    "Recipe",
    "ResponseKD",
    "Site",
    "SitePair",
    "TaskLoss",
    "VerificationReport",
    "Weighted",
    "agreement",
    "as_text",
    "attribute",
    "attribution_map",
    "class_views",
    "distill",
    "evaluation_pairs",
    "faithfulness",
    "interchange",
    "label_views",
    "load_examples",
    "load_maps",
    "load_model",
    "measure",
    "pair_batches",
    "places_needed",
    "ready_made",
    "resolve",
    "student_from_teacher",
    "token_views",
    "verify",
]

_MODULE_OF = {
    "ADKD": "causalkd.objectives.adkd",
    "ATKD": "causalkd.objectives.atkd",
    "Alignment": "causalkd.alignment.spec",
    "AttributionMap": "causalkd.attribution.maps",
    "Batch": "causalkd.data.batch",
    "DIITO": "causalkd.objectives.diito",
    "DIITOHidden": "causalkd.objectives.diito",
    "DKD": "causalkd.objectives.atkd",
    "DistillationTrainer": "causalkd.training.trainer",
    "ExampleSet": "causalkd.data.pairs.collator",
    "HiddenKD": "causalkd.objectives.hidden_kd",
    "HookedModel": "causalkd.models.hooks.hooked_model",
    "PairingCollator": "causalkd.data.pairs.collator",
    "PlantedLM": "causalkd.data.synthetic.stories",
    "PlantedNLI": "causalkd.data.synthetic.nli",
    "PositionPolicy": "causalkd.data.pairs.position_policy",
    "Positions": "causalkd.data.pairs.positions",
    "Recipe": "causalkd.recipe.recipe",
    "ResponseKD": "causalkd.objectives.response_kd",
    "Site": "causalkd.alignment.spec",
    "SitePair": "causalkd.alignment.spec",
    "TaskLoss": "causalkd.objectives.response_kd",
    "VerificationReport": "causalkd.verification.results.report",
    "Weighted": "causalkd.objectives.base",
    "agreement": "causalkd.attribution.agreement",
    "as_text": "causalkd.reporting.tables",
    "attribute": "causalkd.runs.attribute",
    "attribution_map": "causalkd.attribution.maps",
    "class_views": "causalkd.attribution.targets",
    "distill": "causalkd.runs.distill",
    "evaluation_pairs": "causalkd.data.pairs.collator",
    "faithfulness": "causalkd.attribution.faithfulness",
    "interchange": "causalkd.alignment.interchange",
    "label_views": "causalkd.attribution.targets",
    "load_examples": "causalkd.data.tasks.loading",
    "load_maps": "causalkd.runs.map_files",
    "load_model": "causalkd.models.load",
    "measure": "causalkd.verification.measures.iia",
    "pair_batches": "causalkd.data.pairs.collator",
    "places_needed": "causalkd.alignment.interchange",
    "ready_made": "causalkd.alignment.presets",
    "resolve": "causalkd.alignment.resolve",
    "student_from_teacher": "causalkd.models.load",
    "token_views": "causalkd.attribution.targets",
    "verify": "causalkd.runs.distill",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'causalkd' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value  # the next access finds it at once
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
