"""Runs a function in several processes of one job on the CPU, as a launcher such as torchrun starts them."""

import gc
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes


def job(work: Callable[..., None], processes: int, *given: Any) -> None:
    """Calls `work(*given)` in each of so many forks, which must not come after computations of this process.

    Raises:
        ProcessRaisedException: A process has failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (work, processes, port, given)
    gc.collect()
    gc.freeze()  # every training collects garbage, and would look for it in all that is imported
    start_processes(_one, arguments, nprocs=processes, start_method="fork")


def _one(rank: int, work: Callable[..., None], processes: int, port: int, given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
        os.environ.update({name: str(value) for name, value in place.items()})
    work(*given)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
