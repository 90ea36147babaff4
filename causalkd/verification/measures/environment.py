"""The software and settings that a report's numbers were computed with."""

import platform
from importlib import metadata

import torch

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.results.report import Environment

_PACKAGES = ("causalkd", "torch", "transformers", "transformer-lens", "pyvene", "datasets", "accelerate", "numpy")


def environment(
    model: HookedModel, seed: int, tolerance: float | None = None, pair_selection: str | None = None
) -> Environment:
    """The environment of a measurement: installed versions, the model's attention, precision and device, the tolerance
    of regressions, and the selection of pairs.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # such as causalkd itself, used from a checkout
            continue
    return Environment(
        versions=versions,
        attention=str(model.model.config._attn_implementation),
        dtype=str(model.model.dtype).removeprefix("torch."),
        seed=seed,
        threads=torch.get_num_threads(),
        device=str(model.model.device),
        tolerance=tolerance if model.task == "regression" else None,
        pair_selection=pair_selection,
    )
