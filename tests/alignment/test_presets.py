import pytest

from causalkd.alignment.presets import READY_MADE, preset
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.draw_positions import PositionPolicy


def _layers(alignment: Alignment) -> list[tuple[list[int], list[int]]]:
    return [([site.layer for site in pair.teacher], [site.layer for site in pair.student]) for pair in alignment.pairs]


# DIITO (Wu et al. 2022), section 4.
PAPER = {
    ("middle", 6): [([6], [3])],
    ("late", 6): [([9], [3]), ([10], [4])],
    ("full", 6): [([2 * i, 2 * i + 1], [i]) for i in range(6)],
    ("middle", 3): [([6], [1])],
    ("late", 3): [([9], [0]), ([10], [1])],
    ("full", 3): [([4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3], [i]) for i in range(3)],
}


@pytest.mark.parametrize(("name", "student"), PAPER)
def test_the_papers_alignments(name: str, student: int):
    alignment = preset(name, 12, student)
    assert _layers(alignment) == PAPER[name, student]
    assert alignment.name == name
    assert alignment.positions == PositionPolicy(policy="consecutive", fraction=0.3)
    assert {site.component for pair in alignment.pairs for site in pair.teacher + pair.student} == {"block_output"}


@pytest.mark.parametrize("name", READY_MADE)
@pytest.mark.parametrize("teacher", range(1, 9))
@pytest.mark.parametrize("student", range(1, 9))
def test_any_depths(name: str, teacher: int, student: int):
    alignment = preset(name, teacher, student)
    pairs = _layers(alignment)
    assert pairs and all(one and other for one, other in pairs)
    assert len({pair.name for pair in alignment.pairs}) == len(pairs)
    used = [[layer for pair in pairs for layer in pair[side]] for side in (0, 1)]
    for layers, depth in zip(used, (teacher, student), strict=True):
        assert layers == sorted(set(layers))
        assert 0 <= layers[0] and layers[-1] < depth
        if name == "full":
            assert layers == list(range(depth))
        elif depth > 1:
            assert layers[-1] < depth - 1
    assert Alignment.from_yaml(alignment.to_yaml()) == alignment


def test_pairs_are_named_after_the_alignment():
    assert [pair.name for pair in preset("middle", 12, 6).pairs] == ["middle"]
    assert [pair.name for pair in preset("late", 12, 6).pairs] == ["late_0", "late_1"]


def test_bad_names_and_depths():
    with pytest.raises(ValueError) as error:
        preset("midle", 12, 0)
    assert str(error.value).splitlines() == [
        "'midle' is not a preset alignment; did you mean middle?",
        "the student has 0 layers; it needs at least 1",
    ]
