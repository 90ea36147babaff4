"""A study that runs in seconds, and what can be read in its folder."""

import gc
import json
import os
import signal
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import yaml

from causalkd.recipe.study import Study
from causalkd.runs.study import run_study
from causalkd.runs.study_cells import StudyFolder
from tests.forked import CONTEXT
from tests.shrunk import TINY

SMALL = {
    **{key: yaml.safe_load(value) for key, _, value in (change.partition("=") for change in TINY)},
    **{"teacher.config.num_hidden_layers": 2, "teacher.training.steps": 5, "teacher.training.batch_size": 8},
    **{"data.train_limit": 40, "data.eval_limit": 8, "verification.pairs": 8, "verification.batch_size": 4},
    **{"verification.components": [], "alignment": "middle", "training.batch_size": 8, "training.save_steps": 2},
    **{"teacher.training.save_steps": 2, "training.logging_steps": 1},
}
KD = {"name": "student", "layers": [0, 1], "training": {"steps": 6}, "objectives": {"task": {}, "response_kd": {}}}
DIITO = {**KD, "objectives": {"task": {}, "response_kd": {}, "diito": {}}}
VARIANTS = {"kd": {**SMALL, "students": [KD]}, "diito": {**SMALL, "students": [DIITO]}}
TABLES = ("table.json", "table.csv", "table.md")


def small_study(folder: Path, **changes: object) -> Study:
    """Four cells of a second each: two variants, two seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"name": "small", "recipe": "quickstart", "variants": VARIANTS, "seeds": [0, 1]}
    file = folder / "study.yaml"
    file.write_text(json.dumps({**keys, "output": str(folder / "out"), **changes}))
    return Study.load(file)


def tables_of(study: Study) -> list[str]:
    """The text of its tables."""
    return [(study.folder / name).read_text() for name in TABLES]


def begun(study: Study) -> Counter[str]:
    """How often each cell was begun."""
    return Counter(json.loads(line)["cell"] for line in StudyFolder(study.folder).log.read_text().splitlines())


def worker_of(study: Study) -> ForkServerProcess:
    """A process that runs a study. It is no fork of this one, whose threads it would wait for in vain."""
    worker = CONTEXT.Process(target=_run, args=(study,))
    worker.start()
    return worker


def _run(study: Study) -> None:
    gc.freeze()  # every training collects garbage, and would look for it in all that is imported
    run_study(study)


def kill_while_it_runs(study: Study, seconds: float) -> bool:
    """Runs the study in a process that is killed after so long; whether it was still at work."""
    worker = worker_of(study)
    assert worker.pid is not None
    worker.join(seconds)
    running = worker.is_alive()
    if running:
        os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    return running
