"""The checks of an accelerator, shrunk and on the processor, and what they say where there is none."""

import math
import warnings

import pytest
import torch

from causalkd.losses import divergence
from causalkd.losses.divergence_table import DIVERGENCES
from tests import check_device
from tests.check_device import CHECKS, accelerator, checked, main
from tests.device import costs, parity
from tests.device.line import Line, table
from tests.device.sizes import TINY, Sizes
from tests.device.waiting import OBJECTIVES, watched

CPU = torch.device("cpu")


def test_without_an_accelerator_it_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_device, "accelerator", lambda: None)
    assert main([]) == 0
    assert capsys.readouterr().out == "Torch sees no accelerator on this machine, so there is nothing to check.\n"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has an accelerator")
def test_a_processor_is_no_accelerator() -> None:
    assert accelerator() is None


def test_with_one_it_prints_one_table_and_keeps_every_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_device, "accelerator", lambda: CPU)
    monkeypatch.setattr(check_device, "WHOLE", TINY)
    threads = torch.get_num_threads()
    status = main([])
    printed = capsys.readouterr().out
    assert status == 0, printed
    for name in (*(f"loss {name}" for name in (*DIVERGENCES, "atkd", "dkd", "task")), "interchange bert"):
        assert f"{name} float32" in printed and f"{name} bfloat16" in printed
    for name in ("time diito_step / own_kd_step", "time atkd_fused / plain", "memory atkd_fused"):
        assert name in printed
    assert all(f"waits {name}" in printed for name in OBJECTIVES)
    assert torch.get_num_threads() == threads


def test_a_loss_that_is_a_little_off_breaks_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(name: str) -> divergence.Kernel:
        def kernel(student: torch.Tensor, *others: torch.Tensor) -> divergence.Loss:
            # In the device's types the logits are a thousandth too large.
            return divergence.kernel_of(name)(student if student.dtype == torch.float64 else 1.001 * student, *others)

        return kernel

    monkeypatch.setattr(parity, "kernel_of", off)
    lines = {line.check: line for line in parity.losses_beside_cpu(CPU, TINY)}
    assert not lines["loss reverse_kl float32"].is_good and lines["loss task float32"].is_good


def test_a_wrong_counterfactual_breaks_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_LAYER", 0)
    right = parity._plain_counterfactual
    assert all(line.is_good for line in parity.interchange_beside_cpu(CPU, TINY))
    monkeypatch.setattr(parity, "_plain_counterfactual", lambda model: 1.5 * right(model))
    assert not any(line.is_good for line in parity.interchange_beside_cpu(CPU, TINY))


def test_a_check_that_fails_leaves_the_others_their_lines() -> None:
    def breaks(device: torch.device, sizes: Sizes) -> list[Line]:
        raise NotImplementedError("this device cannot\nmore of it")

    def counts(device: torch.device, sizes: Sizes) -> list[Line]:
        return [Line("two", 2.0, "times", 3.0)]

    broken, whole = checked(CPU, TINY, (breaks, counts))
    assert not broken.is_good and broken.note == "NotImplementedError: this device cannot"
    assert whole.is_good
    assert "breaks" in table([broken, whole]) and "more of it" not in table([broken, whole])


def test_the_exit_status_tells_of_a_broken_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_device, "accelerator", lambda: CPU)
    monkeypatch.setattr(check_device, "checked", lambda device, sizes: [Line("much", 2.0, "times", 1.0)])
    assert main([]) == 1
    assert "failed" in capsys.readouterr().out


def test_what_is_no_number_keeps_no_bound() -> None:
    assert not Line("x", math.nan, "", 1.0).is_good
    assert Line("x", 1.0, "", 1.0).is_good and Line("x", None, "", 1.0).is_good and Line("x", 5.0, "").is_good


def test_the_peak_is_what_lives_at_one_time() -> None:
    def step() -> None:
        for _ in range(3):
            torch.zeros(2**20)

    found = costs.peak(step, CPU)
    assert found is not None and 4 <= found < 5


def test_waits_are_noted_by_whose_code_they_are_in() -> None:
    def warn_from(module: str) -> None:
        code = "import warnings\nwarnings.warn('called a synchronizing CUDA operation')"
        exec(compile(code, "somewhere.py", "exec"), {"__name__": module})

    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with watched(CPU) as found:
            for module in ("causalkd.losses.some", "causalkd.losses.some", "transformers.masking"):
                warn_from(module)
            warnings.warn("something else", stacklevel=1)
    assert found.ours == 2 * ["causalkd.losses.some:2"] and found.theirs == ["transformers.masking:2"]
    assert [str(other.message) for other in others] == ["something else"]


def test_every_check_takes_the_device_it_is_given() -> None:
    """On a device that only has shapes the checks must fail, not fall back to the processor."""
    lines = checked(torch.device("meta"), TINY, CHECKS[:2])
    assert [line.check for line in lines] == [check.__name__ for check in CHECKS[:2]]
    assert all(line.has_failed and line.note.startswith("RuntimeError: ") for line in lines), lines
