"""Whether an error says that a disk could not be written or read: a fault of the machine, whatever raised it."""

import errno
import re
from collections.abc import Iterator

OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES})
"""A full disk or quota, and a lack of rights."""
_UNWRITTEN = ("PytorchStreamWriter", "unexpected pos", "basic_ios")
"""Words of torch where the system refuses a write; it does not say why, and a full disk is the usual reason."""
_NUMBER = re.compile(r"\b(?:Errno|os error) (\d+)\b")
"""The system's error as named by Python, in an error that collects others (`shutil.copytree`), and by Rust."""


def disk_fault(error: BaseException) -> int | None:
    """The number of the system's error behind an error or one of its causes; None if no disk is at fault."""
    for each, is_meant in _causes(error):
        number = _number(each)
        # A lack of rights that occurred along with another failure is not the reason of that failure.
        if number in OF_THE_DISK and (is_meant or number != errno.EACCES):
            return number
    return None


def _causes(error: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """The error and those behind it, each with whether it was given as a cause."""
    seen: set[int] = set()
    found: BaseException | None = error
    is_meant = True
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found, is_meant
        is_meant = is_meant and found.__cause__ is not None
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _number(error: BaseException) -> int | None:
    from safetensors import SafetensorError  # here, so that a command without models, such as help, ends at once

    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if not isinstance(error, OSError | RuntimeError | SafetensorError):  # others may quote a user's text
        return None
    said = str(error)
    if any(words in said for words in _UNWRITTEN):
        return errno.ENOSPC
    numbers = [int(number) for number in _NUMBER.findall(said)]
    return next((number for number in numbers if number in OF_THE_DISK), None)
