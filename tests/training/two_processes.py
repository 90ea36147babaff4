"""A program: distils a recipe in two processes on the CPU. `python -m tests.training.two_processes RECIPE`."""

import os
import socket
import sys

import torch

from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs


def _learn(rank: int, recipe: Recipe, port: int) -> None:
    hook_point = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in hook_point.items()})
    torch.set_num_threads(1)
    report = runs.distill(recipe)
    assert len(report.students) == len(recipe.students)
    torch.distributed.destroy_process_group()


def main() -> None:
    """Imports once and forks: importing takes longer than the training."""
    recipe = Recipe.load(sys.argv[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(_learn, (recipe, port), nprocs=2, start_method="fork")


if __name__ == "__main__":
    main()
