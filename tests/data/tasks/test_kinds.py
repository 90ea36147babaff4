from typing import get_args

from causalkd.data.tasks.kinds import KINDS, Metric
from causalkd.data.tasks.row_kinds import ROW_KINDS


def test_every_kind_has_rows_and_a_metric() -> None:
    assert set(ROW_KINDS) == set(KINDS) and {kind.metric for kind in ROW_KINDS.values()} <= set(get_args(Metric))
