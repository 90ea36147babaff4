"""The files in which a run keeps its attribution maps.

runs/NAME/attributions/teacher/layerL.safetensors        a map of every text: layer 0 is the embedding's output, layer L
runs/NAME/attributions/STUDENT-seedS/layerL.safetensors  the output of the L-th block
runs/NAME/attributions/results.json                      the measurements; the report's `attribution` is the same
runs/NAME/attributions/manifest.json                     the written files, with their digests
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from causalkd.attribution.maps import AttributionMap
from causalkd.files.manifest import MANIFEST, damage, write_manifest
from causalkd.files.whole_files import write_whole
from causalkd.runs.folder.layout import MAPS_DRAFT, RunFolder


def replace_maps(folder: RunFolder, maps: Mapping[str, Sequence[AttributionMap]], results: str | None = None) -> None:
    """Write these maps, and then delete the earlier ones.

    Args:
        folder: The run folder.
        maps: The maps of each model by name, from the embedding output to the last block.
        results: The measurements, as JSON.
    """
    draft = folder.path / MAPS_DRAFT
    shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
    for name, depths in maps.items():
        (draft / name).mkdir(parents=True)
        for layer, each in enumerate(depths):
            each.save(draft / name / f"layer{layer}.safetensors")
    if results is not None:
        write_whole(draft / folder.attribution_results.name, results)
    write_manifest(draft)
    if folder.attributions.exists():
        shutil.rmtree(folder.attributions)
    os.replace(draft, folder.attributions)


def check_maps(folder: RunFolder) -> None:
    """Raises ValueError if a run has maps or their measurements and these are not as they were written."""
    there = folder.attributions
    fault = damage(there) if (there / MANIFEST).exists() else None
    if fault is not None:
        raise ValueError(
            f"the attribution maps in {there} are not as they were written: {fault}; call `causalkd attribute "
            f"{folder.path}` again, or delete the folder {there}"
        )


def load_maps(path: str | Path, name: str) -> tuple[AttributionMap, ...]:
    """The maps of one model of a run, from the embedding output to the last block.

    Args:
        path: The run folder.
        name: `teacher`, or a student and its seed, such as `kd-seed0`.

    Raises:
        ValueError: There are no maps of this model (the message lists the models that have some), or a file is not as
            it was written.
    """
    check_maps(RunFolder(Path(path)))
    folder = RunFolder(Path(path)).attributions
    files = sorted((folder / name).glob("layer*.safetensors"), key=lambda file: int(file.stem.removeprefix("layer")))
    if not files:
        known = (
            ", ".join(sorted(entry.name for entry in folder.glob("*/"))) or "none; `causalkd attribute RUN` makes them"
        )
        raise ValueError(f"there are no attribution maps of {name!r} in {folder}; there are those of {known}")
    return tuple(AttributionMap.load(file) for file in files)


def first_maps(folder: RunFolder) -> dict[str, AttributionMap]:
    """Every model's map at the embedding output, by name; empty if `causalkd attribute` has not made them.

    Raises:
        ValueError: A file is not as it was written.
    """
    check_maps(folder)
    files = sorted(folder.attributions.glob("*/layer0.safetensors"))
    return {file.parent.name: AttributionMap.load(file) for file in files}
