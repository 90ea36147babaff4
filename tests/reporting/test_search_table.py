import dataclasses

import pytest

from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.reporting.search_table import search_table
from causalkd.verification.search.search import Search, search
from tests.held_out import teacher_and_student
from tests.verification.search.test_search import POLICY, _pairs
