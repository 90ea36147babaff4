"""Causal distillation of language models: the public names.

Importing this package executes nothing: a name is imported from its module when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalkd.alignment.interchange import interchange, places_needed
    from causalkd.alignment.ready_made import ready_made
    from causalkd.alignment.resolve import resolve
    from causalkd.alignment.spec import Alignment, Site, SitePair
    from causalkd.attribution.agreement import agreement
    from causalkd.attribution.faithfulness import faithfulness
    from causalkd.attribution.maps import AttributionMap, attribution_map
    from causalkd.attribution.views import class_views, label_views, token_views
    from causalkd.attributions import attribute
    from causalkd.data.batch import Batch
    from causalkd.data.pairing import ExampleSet, PairingCollator, evaluation_pairs, pair_batches
    from causalkd.data.planted import PlantedNLI
    from causalkd.data.planted_lm import PlantedLM
    from causalkd.data.policies import PositionPolicy
    from causalkd.data.positions import Positions
    from causalkd.data.tasks import load_examples
    from causalkd.map_files import load_maps
    from causalkd.models.hooked import HookedModel
    from causalkd.models.load import load_model, student_from_teacher
    from causalkd.objectives.adkd import ADKD
    from causalkd.objectives.atkd import ATKD, DKD
    from causalkd.objectives.base_run import Weighted
    from causalkd.objectives.diito import DIITO, DIITOHidden
    from causalkd.objectives.hidden_kd import HiddenKD
    from causalkd.objectives.response_kd import ResponseKD, TaskLoss
    from causalkd.recipe import Recipe
    from causalkd.runs import distill, verify
    from causalkd.training.trainer import DistillationTrainer
    from causalkd.verification.interchange_accuracy import measure
    from causalkd.verification.report import VerificationReport
    from causalkd.verification.text import as_text

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
    "ExampleSet": "causalkd.data.pairing",
    "HiddenKD": "causalkd.objectives.hidden_kd",
    "HookedModel": "causalkd.models.hooked",
    "PairingCollator": "causalkd.data.pairing",
    "PlantedLM": "causalkd.data.planted_lm",
    "PlantedNLI": "causalkd.data.planted",
    "PositionPolicy": "causalkd.data.policies",
    "Positions": "causalkd.data.positions",
    "Recipe": "causalkd.recipe",
    "ResponseKD": "causalkd.objectives.response_kd",
    "Site": "causalkd.alignment.spec",
    "SitePair": "causalkd.alignment.spec",
    "TaskLoss": "causalkd.objectives.response_kd",
    "VerificationReport": "causalkd.verification.report",
    "Weighted": "causalkd.objectives.base_run",
    "agreement": "causalkd.attribution.agreement",
    "as_text": "causalkd.verification.text",
    "attribute": "causalkd.attributions",
    "attribution_map": "causalkd.attribution.maps",
    "class_views": "causalkd.attribution.views",
    "distill": "causalkd.runs",
    "evaluation_pairs": "causalkd.data.pairing",
    "faithfulness": "causalkd.attribution.faithfulness",
    "interchange": "causalkd.alignment.interchange",
    "label_views": "causalkd.attribution.views",
    "load_examples": "causalkd.data.tasks",
    "load_maps": "causalkd.map_files",
    "load_model": "causalkd.models.load",
    "measure": "causalkd.verification.interchange_accuracy",
    "pair_batches": "causalkd.data.pairing",
    "places_needed": "causalkd.alignment.interchange",
    "ready_made": "causalkd.alignment.ready_made",
    "resolve": "causalkd.alignment.resolve",
    "student_from_teacher": "causalkd.models.load",
    "token_views": "causalkd.attribution.views",
    "verify": "causalkd.runs",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'causalkd' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value  # the next access finds it at once
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
