"""A fault of the machine is reported in one paragraph."""

import errno
import os
import shutil

import pytest
import torch
from safetensors import SafetensorError

from causalkd.runs.command_line.environment_faults import environment_fault


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b"), ("a/b: No space left on device; make room",)),
        (PermissionError(errno.EACCES, "Permission denied", "a"), ("a: Permission denied; give yourself the right",)),
        (OSError(errno.EIO, "Input/output error"), ("Input/output error; resolve this",)),
        (MemoryError(), ("there is not enough memory; make `training.batch_size`",)),
        (torch.OutOfMemoryError("CUDA\n out of memory"), ("there is not enough memory (CUDA out of memory);",)),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
            ("there is not enough memory",),
        ),
        (SafetensorError("I/O error: No space left on device (os error 28)"), ("could not be written", "make room")),
        (RuntimeError("basic_ios::clear: iostream error"), ("a file could not be written", "make room")),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device")]), ("No space left", "make room")),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), ("a file could not be written",)),
    ],
)
def test_in_words(error: Exception, told: tuple[str, ...]) -> None:
    found = environment_fault(error)
    assert found is not None and "\n" not in found
    assert all(words in found for words in told), found


def test_faults_of_ours_are_not_hidden() -> None:
    assert environment_fault(RuntimeError("size mismatch")) is None


def test_torch_out_of_memory_on_a_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert (environment_fault(raised.value) or "").startswith("there is not enough memory")
