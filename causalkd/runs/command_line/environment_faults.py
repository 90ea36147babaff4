"""Error messages for faults of the machine, not of the recipe: disk, access rights, memory, standard output."""

import errno

from causalkd.files.disk_faults import disk_fault

EXIT_CODE = 3
"""The exit code of the command line after such a fault; a user's fault ends it with 2."""
_OUT_OF_MEMORY = "make `training.batch_size` or `verification.batch_size` smaller and call the same command again"
_TORCH_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")
"""The messages that torch raises when a CPU has no memory left."""
_ADVICE = {
    errno.ENOSPC: "make room on the disk and call the same command again; a run continues where it was",
    errno.EDQUOT: "make room within the quota and call the same command again; a run continues where it was",
    errno.EROFS: "choose a folder on a disk that can be written to",
    errno.EACCES: "give yourself the right to read and write there, or choose another folder",
    errno.EPERM: "give yourself the right to read and write there, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "let the process open more files (ulimit -n) and call the same command again",
    errno.ENOMEM: _OUT_OF_MEMORY,
}


def environment_fault(error: BaseException) -> str | None:
    """A message about a fault of the machine and how to resolve it; None for another kind of error."""
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        where = f"{error.filename}: " if error.filename is not None else ""
        advice = _ADVICE.get(
            error.errno or disk_fault(error) or 0,
            "resolve this and run the same command again; a run continues where it stopped",
        )
        return f"{where}{what}; {advice}"
    import torch  # here, so that a command without models, such as help, ends at once
    from safetensors import SafetensorError

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        said = " ".join(str(error).split())
        return f"there is not enough memory{f' ({said[:300]})' if said else ''}; {_OUT_OF_MEMORY}"
    said = " ".join(str(error).split())[:300]
    if isinstance(error, RuntimeError) and any(words in said for words in _TORCH_OUT_OF_MEMORY):
        return f"there is not enough memory ({said}); {_OUT_OF_MEMORY}"
    if isinstance(error, RuntimeError | SafetensorError) and (number := disk_fault(error)) is not None:
        return f"a file could not be written ({said}); {_ADVICE[number]}"
    return None
