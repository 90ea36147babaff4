"""Ratios that survive a machine which changes its speed, and memory that no other variant has touched."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.setting import Setting

Step = Callable[[], object]
_WARM_UP = 1
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Ratio:
    """How much more a step costs than the reference, over all rounds."""

    wall: float
    """Median of the rounds' ratios of elapsed time."""
    low: float
    """Lower quartile."""
    high: float
    cpu: float
    """Median of the rounds' ratios of CPU time, all threads together."""


def paired_ratios(reference: Step, steps: Mapping[str, Step], rounds: int) -> dict[str, Ratio]:
    """The cost of each step beside the reference.

    Every round runs everything once, beginning with another one each time, and gives one ratio for each step: a machine
    that is slow for a while is slow for both sides of a ratio.
    """
    assert "reference" not in steps
    everything = {"reference": reference, **steps}
    for _ in range(_WARM_UP):
        for step in everything.values():
            step()
    names = list(everything)
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        first = number % len(names)
        spent = {name: _spent(everything[name]) for name in names[first:] + names[:first]}
        for name in steps:
            wall[name].append(spent[name][0] / spent["reference"][0])
            cpu[name].append(spent[name][1] / spent["reference"][1])
    return {name: _ratio(wall[name], cpu[name]) for name in steps}


def step_memory(function: str, setting: Setting) -> float:
    """Peak minus resting memory of one step in MiB, in a process of its own; Linux only.

    Args:
        function: `module:name` of a function that takes a `Setting` and returns the step.
        setting: The shape.

    Raises:
        subprocess.CalledProcessError: The step failed; its traceback is on standard error.
    """
    return float(_in_own_process("memory_of", setting, function))


def step_ratio(reference: str, function: str, setting: Setting) -> Ratio:
    """The `paired_ratios` of one step, in a process of its own.

    What a process has allocated before changes what the next large tensor costs it: after batches of other shapes the
    same two steps compare differently. Arguments and errors are those of `step_memory`.
    """
    return Ratio(**_in_own_process("ratio_of", setting, reference, function))


def memory_of(setting: Setting, function: str) -> float:
    """What the process of `step_memory` does: builds the step, rests, takes it, and tells by how much it grew."""
    step = _step(function, setting)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of imports and of building
    resting = _status("VmRSS")
    step()
    return (_status("VmHWM") - resting) / _MEBIBYTE


def ratio_of(setting: Setting, reference: str, function: str) -> dict[str, float]:
    """What the process of `step_ratio` does."""
    found = paired_ratios(_step(reference, setting), {"step": _step(function, setting)}, setting.rounds)
    return asdict(found["step"])


def _in_own_process(measurement: str, setting: Setting, *functions: str) -> Any:
    given = json.dumps([measurement, asdict(setting), *functions])
    code = "import sys; from tests.benchmarks import measure; measure.answer(sys.argv[1])"
    told = subprocess.run([sys.executable, "-c", code, given], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(told.stdout)


def answer(given: str) -> None:
    """Prints what one of the measurements above finds: what a process of its own is started for."""
    measurement, shape, *functions = json.loads(given)
    setting = Setting(**shape)
    torch.set_num_threads(setting.threads)
    print(json.dumps({"memory_of": memory_of, "ratio_of": ratio_of}[measurement](setting, *functions)))


def _step(function: str, setting: Setting) -> Step:
    module, name = function.split(":")
    return vars(import_module(module))[name](setting)


def _spent(step: Step) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def _ratio(wall: list[float], cpu: list[float]) -> Ratio:
    low, middle, high = statistics.quantiles(wall, n=4, method="inclusive")
    return Ratio(middle, low, high, statistics.median(cpu))


def _status(field: str) -> int:
    """A size of this process in bytes, from Linux. `getrusage` will not do: it starts at the parent's peak."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
