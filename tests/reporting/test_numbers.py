import pytest

from causalkd.reporting.numbers import number, percent, probability, signed


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (number, 0.12345, "0.123"),
        (number, -0.0001, "0.000"),
        (signed, 0.0312, "+0.031"),
        (signed, -0.0001, "+0.000"),
        (signed, -0.001, "-0.001"),
        (probability, 3e-9, "< 0.001"),
        (probability, 0.0404, "0.040"),
        (percent, 0.61749, "61.7%"),
        *((write, None, "–") for write in (number, signed, probability, percent)),
    ],
)
def test_numbers_as_they_are_written(write, value, text):
    assert write(value) == text
