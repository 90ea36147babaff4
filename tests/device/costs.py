"""What a device needs for the benchmark's steps: time beside another step's, and the memory of a large vocabulary."""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from tests.benchmarks.measure import Step, paired_ratios
from tests.benchmarks.rows import fused
from tests.benchmarks.setting import Setting
from tests.benchmarks.steps import diito_step, own_kd_step
from tests.device.line import Line
from tests.device.sizes import Sizes
from tests.executed import allocated

_MEBIBYTE = 2**20


def times(device: torch.device, sizes: Sizes) -> list[Line]:
    """A DIITO step beside a KD step, and ATKD from hidden states beside plain forward KL with logits, in float32."""
    made = {
        "diito_step / own_kd_step": (own_kd_step, diito_step),
        "atkd_fused / plain": (fused.plain, fused.atkd),
    }
    return [line for name, steps in made.items() for line in _compared(name, *steps, device, sizes.bench)]


def _compared(
    name: str,
    reference_of: Callable[..., Step],
    step_of: Callable[..., Step],
    device: torch.device,
    setting: Setting,
) -> list[Line]:
    reference, step = (partial(_finished, of(setting, device=device), device) for of in (reference_of, step_of))
    ratio = paired_ratios(reference, {"step": step}, setting.rounds)["step"]
    above, below = name.split(" / ")
    return [
        Line(f"time {name}", ratio.wall, "ratio of times", note=f"quartiles {ratio.low:.3f}–{ratio.high:.3f}"),
        *(
            Line(f"time {each}", _median(taken, setting.rounds), "ms", note="median, float32")
            for each, taken in ((above, step), (below, reference))
        ),
    ]


def _finished(step: Step, device: torch.device) -> None:
    """Takes a step and waits until the device has done it."""
    step()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _median(step: Step, rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        spent.append(1000 * (time.perf_counter() - begin))
    return statistics.median(spent)


def memory(device: torch.device, sizes: Sizes) -> list[Line]:
    """The peak of ATKD from hidden states in bfloat16, beyond inputs and gradients, beside one tensor of logits."""
    setting = sizes.bench
    tokens, vocabulary, width = setting.long_tokens, setting.long_vocabulary, setting.divergence_width
    logits = tokens * vocabulary * torch.bfloat16.itemsize / _MEBIBYTE
    gradients = (tokens + vocabulary) * width * torch.bfloat16.itemsize / _MEBIBYTE
    taken = peak(fused.atkd_128k(setting, device=device), device)
    shape = f"{tokens} tokens, vocabulary {vocabulary}, width {width}, bfloat16"
    if taken is None:
        return [Line("memory atkd_fused", None, "MiB", 1024.0, f"torch counts no peak on {device.type}")]
    return [
        Line("memory atkd_fused", taken - gradients, "MiB", 1024.0, f"beyond inputs and gradients; {shape}"),
        Line("memory one tensor of logits", logits, "MiB", note=shape),
    ]


def peak(step: Step, device: torch.device) -> float | None:
    """The most that a step has on the device at one time in MiB, above what was there; None where torch cannot say."""
    if device.type == "cpu":
        return allocated(step).peak / _MEBIBYTE
    if device.type == "mps":
        return None
    torch.accelerator.synchronize(device)
    resting = torch.accelerator.memory_allocated(device)
    torch.accelerator.reset_peak_memory_stats(device)
    step()
    torch.accelerator.synchronize(device)
    return (torch.accelerator.max_memory_allocated(device) - resting) / _MEBIBYTE
