"""Parameters that no objective reaches: found in the graph, left as they are by the optimizer."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from causalkd.training.unreached import Unreached


class _Wrapped(DistributedDataParallel):
    """Stands for one of several processes, without the others."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


def test_one_process_has_nothing_to_wait_for() -> None:
    loss = torch.ones((), requires_grad=True)
    assert Unreached().reach_all(nn.Linear(2, 2), loss, torch.ones(2, requires_grad=True)) is loss


def test_what_only_outputs_depend_on_gets_a_gradient_and_loses_it() -> None:
    body, head = nn.Linear(3, 4), nn.Linear(4, 2)
    hidden = body(torch.ones(5, 3))
    unreached, loss = Unreached(), hidden.square().mean()
    with torch.no_grad():
        head.bias.fill_(torch.inf)  # infinite outputs change nothing
    outputs = head(hidden)
    assert not outputs.isfinite().all()
    whole = unreached.reach_all(_Wrapped(), loss, outputs)
    assert whole.item() == loss.item()
    whole.backward()
    assert all(parameter.grad is not None for parameter in (*body.parameters(), *head.parameters()))
    unreached.forget_gradients()
    assert all(parameter.grad is None for parameter in head.parameters())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in body.parameters())


def test_a_step_keeps_what_any_of_its_micro_batches_reaches() -> None:
    body, head = nn.Linear(3, 4), nn.Linear(4, 2)
    unreached = Unreached()
    for reached in (True, False):
        hidden = body(torch.ones(5, 3))
        outputs = head(hidden)
        unreached.reach_all(_Wrapped(), (outputs if reached else hidden).mean(), outputs).backward()
    unreached.forget_gradients()
    assert all(parameter.grad is not None for parameter in head.parameters())
