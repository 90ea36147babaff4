"""The files that a run adds to a training's checkpoint: the cost so far, and a manifest that is written last.

`training_arguments` decides when checkpoints are written.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from causalkd.files.manifest import write_manifest
from causalkd.files.whole_files import write_whole
from causalkd.runs.folder.entries import checkpoints_in, step_of
from causalkd.runs.folder.layout import RunFolder
from causalkd.training.compute import BlockForwards

_COST = "cost.json"


@dataclass(frozen=True)
class TrainingCost:
    """The cost of a training so far."""

    block_forwards: float = 0.0
    """Block-forwards, summed over all processes."""
    seconds: float = 0.0

    @classmethod
    def until(cls, checkpoint: Path | None) -> "TrainingCost":
        """The cost recorded in the checkpoint; zero if there is none."""
        return cls() if checkpoint is None else cls(**json.loads((checkpoint / _COST).read_text(encoding="utf-8")))


class CheckpointManifests(TrainerCallback):
    """Adds to each checkpoint the cost of the training so far, and its manifest.

    Args:
        counter: Counts this process's block-forwards.
        before: The cost before this process started.
    """

    def __init__(self, counter: BlockForwards, before: TrainingCost) -> None:
        self._counter, self._before, self._began = counter, before, time.perf_counter()

    def spent(self) -> TrainingCost:
        """The cost of the training so far."""
        counted = float(self._counter.total * PartialState().num_processes)
        seconds = time.perf_counter() - self._began
        return TrainingCost(self._before.block_forwards + counted, self._before.seconds + seconds)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Waits until every process has written its part, and then makes the checkpoint valid."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            checkpoint, spent = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", self.spent()
            write_whole(checkpoint / _COST, json.dumps(vars(spent)))
            write_manifest(checkpoint)


def resumable(folder: RunFolder, name: str, tell: Callable[[str], None] | None) -> Path | None:
    """The checkpoint from which a training continues; later ones, which cannot be used, are deleted."""
    processes = PartialState()
    last = folder.last_checkpoint(name, tell if processes.is_main_process else None)
    processes.wait_for_everyone()
    if processes.is_main_process:
        for checkpoint in checkpoints_in(folder.work(name)):
            if last is None or step_of(checkpoint) > step_of(last):
                shutil.rmtree(checkpoint)
    processes.wait_for_everyone()
    return last
