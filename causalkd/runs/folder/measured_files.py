"""The files that were measured of one model of a run and do not say of which weights, which go when it is replaced.

runs/NAME/evaluations/MODEL-TASK-SPLIT.*, glue/MODEL/   runs/NAME/responses/MODEL-PROMPTS.jsonl
runs/NAME/found_alignment.yaml                          the result of a search, which depends on two models
"""

import shutil
from collections.abc import Collection

from causalkd.runs.folder.layout import RunFolder


def forget(folder: RunFolder, names: Collection[str]) -> list[str]:
    """Deletes what was measured of a model; the names of what is deleted.

    Args:
        folder: The run.
        names: Every name that the files of the model may begin with: that of its training, and that of its folder.
    """
    patterns = [f"{place}/{name}-*" for place in ("evaluations", "responses") for name in names]
    patterns += [f"evaluations/glue/{name}" for name in names]
    found = sorted({path for pattern in (*patterns, folder.found.name) for path in folder.path.glob(pattern)})
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [str(path.relative_to(folder.path)) for path in found]
