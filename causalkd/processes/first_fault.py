"""The choice of the process that reports a failure: the one that fails first; those that fail after it are silent."""

import os
from datetime import timedelta

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

_PATIENCE = timedelta(seconds=10)


def is_first_fault() -> bool:
    """Whether no other process of this job has failed before; a process calls this once, when it fails.

    The processes count their failures in the store through which their launcher connects them. If that store does not
    exist yet, or no longer, the process of rank 0 counts as the first.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    try:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(*place, is_master=False, timeout=_PATIENCE)
        return store.add(f"causalkd/faults/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return int(os.environ.get("RANK", "0")) == 0
