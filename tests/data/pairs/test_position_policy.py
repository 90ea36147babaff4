import pytest

from causalkd.data.pairs.position_policy import PositionPolicy

GOOD = [
    {"policy": "all"},
    {"policy": "consecutive", "fraction": 0.3},
    {"policy": "scattered", "maximum": 4, "same": True},
    {"policy": "masked", "maximum": 2},
    {"policy": "first"},
    {"policy": "last", "maximum": 3},
    {"policy": "segments", "segments": ["premise", "hypothesis"], "fraction": 0.5},
    {"policy": "explicit", "base": [0, 3], "source": [3, 0]},
]


@pytest.mark.parametrize("fields", GOOD, ids=lambda fields: fields["policy"])
def test_a_policy_survives_being_written_down(fields: dict) -> None:
    policy = PositionPolicy(**fields)
    assert PositionPolicy.model_validate(policy.model_dump(mode="json")) == policy
    assert hash(policy) == hash(PositionPolicy(**fields))


BAD = [
    ({"policy": "scattered"}, "the number of positions is missing; give `fraction`, `maximum` or both"),
    (
        {"policy": "all", "fraction": 0.5},
        "`fraction` has no effect here; it belongs to consecutive, scattered, segments",
    ),
    ({"policy": "last", "same": True}, "`same` has no effect here"),
    ({"policy": "masked", "segments": ["a"]}, "`segments` has no effect here; it belongs to segments"),
    ({"policy": "segments"}, "no segment is named; give `segments`"),
    ({"policy": "segments", "segments": ["a", "a"]}, "; give each once"),
    ({"policy": "explicit", "base": [1, 2], "source": [1]}, "`base` has 2, `source` 1"),
    ({"policy": "explicit", "base": [1, 1], "source": [1, 2]}, "`base` names one token twice"),
    ({"policy": "explicit", "base": [-1], "source": [1]}, "count from 0"),
    ({"policy": "consecutive", "fraction": 0}, "greater than 0"),
    ({"policy": "consecutive", "fraction": 1.5}, "less than or equal to 1"),
    ({"policy": "consecutive", "maximum": 0}, "greater than or equal to 1"),
    ({"policy": "every"}, "'all', 'consecutive'"),
    ({"policy": "all", "count": 3}, "count"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_makes_no_sense_is_refused_by_name(fields: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        PositionPolicy(**fields)
    assert message in str(error.value)


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ValueError) as error:
        PositionPolicy(policy="explicit", fraction=0.2, segments=("a",), base=(1, 1))
    message = str(error.value)
    assert "position policy 'explicit'" in message
    assert all(
        part in message
        for part in ("`fraction` has no effect", "`segments` has no effect", "`base` has 2", "one token twice")
    )


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PositionPolicy(policy="all").maximum = 3
