import dataclasses
import re

import pytest
import torch

from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.reporting.search_table import search_table
from causalkd.verification.search.das import Subspace
from causalkd.verification.search.search import Proposal, Search
from tests.example_report import example_report
from tests.held_out import teacher_and_student

ROW = dataclasses.replace(
    example_report(seeds=1).interchange[0],
    iia_effective=0.8,
    iia_effective_low=0.7,
    iia_effective_high=0.9,
    effective_pairs=120,
)
BASELINE = dataclasses.replace(ROW, baseline="majority_class", iia_effective=0.5, q_value=0.001)


@pytest.fixture
def hook_point() -> HookPoint:
    return teacher_and_student()[1].hook_point("block_output", 0)


def _search(*proposals: Proposal) -> Search:
    return Search(proposals, "block_output", PositionPolicy(policy="last"), torch.zeros(4, 2))


def _lines(found: Search) -> list[list[str]]:
    heads, _, *lines = search_table(found).splitlines()
    return [re.split(r" {2,}", line.strip()) for line in (heads, *lines)]


def test_a_line_has_what_the_search_and_the_held_out_pairs_say() -> None:
    supported = Proposal(0, 2, (1, 2), 0.9, 0.85, ROW, (BASELINE,))
    chance = Proposal(1, 3, (3,), 0.4, 0.6, ROW, (dataclasses.replace(BASELINE, q_value=0.4),))
    assert _lines(_search(supported, chance)) == [
        ["student", "teacher", "as well", "CKA", "search", "held out", "95 %", "n", "best baseline", "supported"],
        ["0", "2", "1", "0.900", "0.850", "0.800", "0.700–0.900", "120", "0.500", "yes"],
        ["1", "3", "–", "0.400", "0.600", "0.800", "0.700–0.900", "120", "0.500", "no"],
    ]


def test_what_is_not_known_is_a_dash() -> None:
    unknown = dataclasses.replace(ROW, iia_effective=None, iia_effective_low=None, effective_pairs=0)
    line = _lines(_search(Proposal(0, 2, (2,), 0.9, 0.85, unknown, ())))[1]
    assert line[5:] == ["–", "–", "0", "–", "yes"]


def test_learned_directions_have_columns_of_their_own(hook_point: HookPoint) -> None:
    learned = Subspace(hook_point, torch.eye(hook_point.width)[:, :2], 0.9, 0.625)
    whole = Proposal(1, 3, (3,), 0.4, 0.6, ROW, (BASELINE,))
    heads, first, second = _lines(_search(Proposal(0, 2, (2,), 0.9, 0.8, ROW, (BASELINE,), learned), whole))
    assert heads[-2:] == ["directions", "arbitrary"]
    assert (first[-2:], second[-2:]) == (["2", "0.625"], ["all", "–"])
