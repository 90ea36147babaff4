import pytest

from causalkd.alignment.resolve import resolve
from causalkd.alignment.sites import ResolvedSite
from causalkd.alignment.spec import Alignment
from causalkd.verification.cells import Side, declared_sides, plan
from tests.held_out import teacher_and_student

SPAN = "name: a\npositions: {policy: consecutive, fraction: 0.3}\npairs:\n"


@pytest.fixture(scope="module")
def models():
    return teacher_and_student()


def _plan(models, pairs, component="block_output", trained=None):
    return plan(*models, resolve(Alignment.from_yaml(SPAN + pairs), *models), component, trained)


def _named(cells):
    return {(cell.pair, cell.teacher_layer, cell.student_layer): cell for cell in cells}


def test_the_grid_holds_every_layer_pair_once_and_the_declared_one_by_its_name(models):
    cells = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}")
    assert [(cell.teacher_layer, cell.student_layer) for cell in cells] == [(t, s) for t in range(3) for s in range(2)]
    assert [cell.pair for cell in cells if cell.trained] == ["m"]
    assert {cell.pair for cell in cells if not cell.trained} == {"grid:m"}


def test_cells_of_one_layer_share_their_side(models):
    cells = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}")
    assert len({cell.teacher for cell in cells}) == 3
    assert len({cell.student for cell in cells}) == 2
    assert {cell.teacher.positions for cell in cells} == {"m"}


def test_sides_that_exchange_the_same_are_one(models):
    part = "subspace_partition: [[0, 4], [4, 32]], subspaces: [{}]"
    site = "[{{layer: {}, {}}}]"
    pairs = "".join(
        f"- {{name: {name}, teacher: [{{layer: 1}}], student: {site.format(layer, part.format(which))}{positions}}}\n"
        for name, layer, which, positions in (
            *(("a", 0, 0, ""), ("same", 0, 0, ""), ("columns", 0, 1, ""), ("layer", 1, 0, "")),
            ("policy", 0, 0, ", positions: {policy: last}"),
        )
    )
    sides = {
        name: own for name, (_, own) in declared_sides(resolve(Alignment.from_yaml(SPAN + pairs), *models)).items()
    }
    assert sides["a"] == sides["same"] and hash(sides["a"]) == hash(sides["same"])
    assert len(set(sides.values())) == 4
    plain, other = (
        Side((ResolvedSite(models[1].place("block_output", 0), None, source),), "a")
        for source in (None, ResolvedSite(models[1].place("block_output", 1)))
    )
    assert plain != other and plain != "a"


def test_pairs_of_one_policy_share_a_grid_and_others_get_their_own(models):
    late = """
- {name: a, teacher: [{layer: 1}], student: [{layer: 0}]}
- {name: b, teacher: [{layer: 2}], student: [{layer: 1}]}
"""
    cells = _named(_plan(models, late))
    assert len(cells) == 6
    assert cells["b", 2, 1].trained and cells["b", 2, 1].teacher.positions == "a"
    apart = _plan(models, late.replace("student: [{layer: 1}]", "student: [{layer: 1}], positions: {policy: last}"))
    assert len(apart) == 12
    assert _named(apart)["b", 2, 1].teacher.positions == "b"
    assert _named(apart)["grid:a", 2, 1].trained  # trained at other positions, so no evidence either
    assert {cell.pair for cell in apart} == {"a", "b", "grid:a", "grid:b"}


def test_a_pair_of_several_sites_is_a_row_of_its_own_and_its_cells_count_as_trained(models):
    cells = _plan(models, "- {name: full, teacher: [{layer: 0}, {layer: 1}], student: [{layer: 0}]}")
    own = [cell for cell in cells if cell.pair == "full"]
    assert len(cells) == 7 and len(own) == 1
    assert len(own[0].teacher.sites) == 2 and (own[0].teacher_layer, own[0].student_layer) == (0, 0)
    touched = {(c.teacher_layer, c.student_layer) for c in cells if c.pair == "grid:full" and c.trained}
    assert touched == {(0, 0), (1, 0)}


def test_a_separate_source_site_and_a_subspace_are_no_grid_cell(models):
    cells = _plan(
        models,
        """
- {name: release, teacher: [{layer: 1, source: {layer: 1, component: block_input}}], student: [{layer: 0}]}
- {name: part, teacher: [{layer: 1, subspace_partition: [[0, 4]]}], student: [{layer: 0, subspace_partition: [[0, 4]]}]}
""",
    )
    assert [cell.pair for cell in cells[6:]] == ["release", "part"]
    assert cells[6].teacher.positions == "release"


def test_the_next_block_s_input_is_the_same_tensor(models):
    pair = "- {name: m, teacher: [{layer: 2, component: block_input}], student: [{layer: 1, component: block_input}]}"
    cells = _plan(models, pair)
    assert {(c.teacher_layer, c.student_layer) for c in cells if c.trained and c.component == "block_output"} == {
        (1, 0)
    }
    assert _named(cells)["m", 2, 1].component == "block_input"


def test_other_components_have_their_own_grid(models):
    pair = "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}"
    cells = _plan(models, pair, "mlp_output")
    assert len(cells) == 7
    assert [cell.pair for cell in cells if cell.trained] == ["m"]
    assert [(c.teacher_layer, c.student_layer) for c in _plan(models, pair, "token_embedding")][:-1] == [(0, 0)]


def test_without_a_component_the_declared_pairs_are_alone(models):
    (cell,) = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}", None)
    assert (cell.pair, cell.component, cell.teacher_layer, cell.student_layer) == ("m", "block_output", 1, 0)
    assert cell.trained and cell.wrong_layer is not None


def test_only_named_pairs_are_trained(models):
    pair = "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}"
    assert not any(cell.trained for cell in _plan(models, pair, trained=()))
    with pytest.raises(ValueError) as error:
        _plan(models, pair, "block_outputs", ["n"])
    assert "trained pair 'n' is not declared; the alignment has ['m']" in str(error.value)
    assert "did you mean block_output?" in str(error.value)
