"""Whether a disk is at fault is told by the system's number, wherever an error has it."""

import errno

import pytest
from safetensors import SafetensorError

from causalkd.files.disk_faults import disk_fault


def _raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EROFS, "Read-only file system"), errno.EROFS),
        (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), errno.EDQUOT),
        (RuntimeError("unexpected pos 64 vs 0"), errno.ENOSPC),
        (_raised(ValueError("refused"), PermissionError(errno.EACCES, "Permission denied")), errno.EACCES),
        (OSError(errno.EIO, "Input/output error"), None),
        (ValueError("[Errno 28] is a word of the data"), None),
        (RuntimeError("size mismatch"), None),
    ],
)
def test_a_fault_of_the_disk(error: Exception, number: int | None) -> None:
    assert disk_fault(error) == number


def test_a_lack_of_rights_in_passing_is_no_reason() -> None:
    for number, found in ((errno.EACCES, None), (errno.ENOSPC, errno.ENOSPC)):
        error = RuntimeError("shapes cannot be multiplied")
        error.__context__ = OSError(number, "met before")
        assert disk_fault(error) == found


def test_causes_in_a_circle_end() -> None:
    one = ValueError("one")
    assert disk_fault(_raised(one, _raised(ValueError("other"), one))) is None
