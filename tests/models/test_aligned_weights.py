"""A checkpoint's weights begin where torch's own tensors do, so that every process computes the same bits."""

from pathlib import Path

import torch

from causalkd.models.aligned_weights import align
from causalkd.models.load import load_model
from tests.models.small import hooked


def test_weights_of_a_file_begin_where_those_of_a_new_model_do(tmp_path: Path) -> None:
    made = hooked("bert")
    made.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, task=made.task, role="teacher")
    assert {weight.data_ptr() % 64 for weight in loaded.model.parameters()} == {0}


def test_what_lies_elsewhere_is_moved_and_what_is_shared_stays_shared() -> None:
    memory = torch.arange(40.0)
    one, other = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
    one.weight.data = memory[1:17].view(4, 4)
    other.weight = one.weight
    right = torch.nn.Linear(4, 4)
    place, values = right.weight.data_ptr(), one.weight.detach().clone()
    align(torch.nn.Sequential(one, other, right))
    assert one.weight.data_ptr() % 64 == 0 and torch.equal(one.weight, values)
    assert other.weight is one.weight and right.weight.data_ptr() == place
