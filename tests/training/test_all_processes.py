import torch
from accelerate import Accelerator

from causalkd.training.all_processes import AllProcesses


def test_a_process_that_is_alone_hears_only_itself() -> None:
    """Several processes are tried in `test_processes`."""
    alone, numbers = AllProcesses(Accelerator(cpu=True)), torch.tensor([1.0, 2.0])
    assert alone.number == 1
    assert torch.equal(alone.sum(numbers), numbers) and torch.equal(alone.list(numbers, 0.0), numbers)
