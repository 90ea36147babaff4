"""The peak memory of a DIITO step of a masked language model beside the plain step's."""

from tests.benchmarks import steps
from tests.benchmarks.measure import step_memory
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting


def rows(setting: Setting) -> list[Row]:
    """`diito_memory_vs_kd`."""
    plain, diito = (step_memory(f"{steps.__name__}:{name}", setting) for name in ("plain_step", "diito_step"))
    return [Row("diito_memory_vs_kd", diito / plain, 1.1, None, "ratio of peaks above rest")]
