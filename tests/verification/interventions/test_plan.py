from dataclasses import replace

import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import Alignment
from causalkd.verification.interventions.plan import Intervention, declared_interventions, plan, undeclared
from tests.held_out import hybrid, teacher_and_student

SPAN = "name: a\npositions: {policy: consecutive, fraction: 0.3}\npairs:\n"


@pytest.fixture(scope="module")
def models():
    return teacher_and_student()


def _plan(models, pairs, component="block_output"):
    return plan(*models, resolve(Alignment.from_yaml(SPAN + pairs), *models), component)


def _named(comparisons):
    return {
        (comparison.pair, comparison.teacher_layer, comparison.student_layer): comparison for comparison in comparisons
    }


def test_the_grid_holds_every_layer_pair_once_and_the_declared_one_by_its_name(models):
    comparisons = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}")
    assert [(comparison.teacher_layer, comparison.student_layer) for comparison in comparisons] == [
        (t, s) for t in range(3) for s in range(2)
    ]
    assert [comparison.pair for comparison in comparisons if comparison.kind == "aligned"] == ["m"]
    assert {comparison.pair for comparison in comparisons if comparison.kind == "other"} == {"grid:m"}


def test_comparisons_of_one_layer_share_their_intervention(models):
    comparisons = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}")
    assert len({comparison.teacher for comparison in comparisons}) == 3
    assert len({comparison.student for comparison in comparisons}) == 2
    assert {comparison.teacher.positions for comparison in comparisons} == {"m"}


def test_equal_interventions_are_one(models):
    part = "subspace_partition: [[0, 4], [4, 32]], subspaces: [{}]"
    site = "[{{layer: {}, {}}}]"
    pairs = "".join(
        f"- {{name: {name}, teacher: [{{layer: 1}}], student: {site.format(layer, part.format(which))}{positions}}}\n"
        for name, layer, which, positions in (
            *(("a", 0, 0, ""), ("same", 0, 0, ""), ("columns", 0, 1, ""), ("layer", 1, 0, "")),
            ("policy", 0, 0, ", positions: {policy: last}"),
        )
    )
    interventions = {
        name: own
        for name, (_, own) in declared_interventions(resolve(Alignment.from_yaml(SPAN + pairs), *models)).items()
    }
    assert interventions["a"] == interventions["same"] and hash(interventions["a"]) == hash(interventions["same"])
    assert len(set(interventions.values())) == 4
    plain, other = (
        Intervention((ResolvedSite(models[1].hook_point("block_output", 0), None, source),), "a")
        for source in (None, ResolvedSite(models[1].hook_point("block_output", 1)))
    )
    assert plain != other and plain != "a"


def test_pairs_of_one_policy_share_a_grid_and_others_get_their_own(models):
    late = """
- {name: a, teacher: [{layer: 1}], student: [{layer: 0}]}
- {name: b, teacher: [{layer: 2}], student: [{layer: 1}]}
"""
    comparisons = _named(_plan(models, late))
    assert len(comparisons) == 6
    assert comparisons["b", 2, 1].kind == "aligned" and comparisons["b", 2, 1].teacher.positions == "a"
    apart = _plan(models, late.replace("student: [{layer: 1}]", "student: [{layer: 1}], positions: {policy: last}"))
    assert len(apart) == 12
    assert _named(apart)["b", 2, 1].teacher.positions == "b"
    assert _named(apart)["grid:a", 2, 1].kind == "touched"  # declared at other positions
    assert {comparison.pair for comparison in apart} == {"a", "b", "grid:a", "grid:b"}


def test_a_pair_of_several_sites_is_a_row_of_its_own_and_its_sites_are_touched(models):
    comparisons = _plan(models, "- {name: full, teacher: [{layer: 0}, {layer: 1}], student: [{layer: 0}]}")
    own = [comparison for comparison in comparisons if comparison.pair == "full"]
    assert len(comparisons) == 7 and len(own) == 1
    assert len(own[0].teacher.sites) == 2 and (own[0].teacher_layer, own[0].student_layer) == (0, 0)
    touched = {(c.teacher_layer, c.student_layer) for c in comparisons if c.pair == "grid:full" and c.kind == "touched"}
    assert touched == {(0, 0), (1, 0)}


def test_a_separate_source_site_and_a_subspace_are_not_in_a_grid(models):
    comparisons = _plan(
        models,
        """
- {name: release, teacher: [{layer: 1, source: {layer: 1, component: block_input}}], student: [{layer: 0}]}
- {name: part, teacher: [{layer: 1, subspace_partition: [[0, 4]]}], student: [{layer: 0, subspace_partition: [[0, 4]]}]}
""",
    )
    assert [comparison.pair for comparison in comparisons[6:]] == ["release", "part"]
    assert comparisons[6].teacher.positions == "release"


def test_the_next_block_s_input_is_the_same_tensor(models):
    pair = "- {name: m, teacher: [{layer: 2, component: block_input}], student: [{layer: 1, component: block_input}]}"
    comparisons = _plan(models, pair)
    assert {(c.teacher_layer, c.student_layer) for c in comparisons if c.kind == "touched"} == {(1, 0)}
    assert (
        _named(comparisons)["m", 2, 1].component == "block_input" and _named(comparisons)["m", 2, 1].kind == "aligned"
    )
    mixed = "- {name: m, teacher: [{layer: 1}], student: [{layer: 1, component: block_input}]}"
    assert {(c.teacher_layer, c.student_layer) for c in _plan(models, mixed) if c.kind == "touched"} == {(1, 0)}


def test_other_components_have_their_own_grid(models):
    pair = "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}"
    comparisons = _plan(models, pair, "mlp_output")
    assert len(comparisons) == 7
    assert [comparison.pair for comparison in comparisons if comparison.kind == "aligned"] == ["m"]
    assert [(c.teacher_layer, c.student_layer) for c in _plan(models, pair, "token_embedding")][:-1] == [(0, 0)]


def test_without_a_component_the_declared_pairs_are_alone(models):
    (comparison,) = _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}", None)
    assert (comparison.pair, comparison.component, comparison.teacher_layer, comparison.student_layer) == (
        "m",
        "block_output",
        1,
        0,
    )
    assert comparison.kind == "aligned" and comparison.wrong_layer is not None


def test_the_nearest_component_is_named(models):
    with pytest.raises(ValueError, match="did you mean block_output"):
        _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}", "block_outputs")
    with pytest.raises(ValueError, match="'mlp_activation' does not exist; this tensor is not offered; choose one of"):
        _plan(models, "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}", "mlp_activation")


def test_every_declared_pair_is_aligned_and_cells_that_share_a_part_with_one_are_touched(models):
    part = "subspace_partition: [[0, 4]]"
    pairs = f"- {{name: part, teacher: [{{layer: 1, {part}}}], student: [{{layer: 0, {part}}}]}}\n"
    pairs += "- {name: late, teacher: [{layer: 2}], student: [{layer: 1}], positions: {policy: last}}"
    for component, touched in (("block_output", {(1, 0), (2, 1)}), ("mlp_output", set()), (None, set())):
        found = _plan(models, pairs, component)
        assert {each.pair for each in found if each.kind == "aligned"} == {"part", "late"}
        assert {(each.teacher_layer, each.student_layer) for each in found if each.kind == "touched"} == touched


def test_parts_of_one_tensor_touch_if_they_have_columns_or_directions_in_common(models):
    pair = "- {name: m, teacher: [{layer: 1}], student: [{layer: 0}]}"
    (pair,) = resolve(Alignment.from_yaml(SPAN + pair), *models).pairs

    def parts(columns):
        return tuple((replace(site, columns=torch.tensor(columns)),) for (site,) in (pair.teacher, pair.student))

    def kind(own, declared):
        teacher, student = parts(declared)
        return undeclared(*parts(own), [replace(pair, teacher=teacher, student=student)])

    assert kind([0, 1, 2, 3], [3, 4]) == "touched" and kind([0, 1, 2, 3], [4, 5]) == "other"


@pytest.mark.parametrize(
    ("kinds", "component", "layers", "expected"),
    [
        ("AAAA", "block_output", [0], [2]),
        ("AAAA", "block_output", [0, 2], [1, 3]),
        ("AAAA", "block_output", [0, 1, 2], None),
        ("AA", "block_output", [0, 1], None),
        ("CACCCA", "attention_output", [1], [5]),
        ("CACA", "attention_output", [1], [3]),
        ("CAC", "attention_output", [1], None),
    ],
)
def test_another_layer_is_another_place_of_every_site_that_the_model_has(kinds, component, layers, expected):
    student = hybrid(kinds, "student")
    sites = ", ".join(f"{{layer: {layer}, component: {component}}}" for layer in layers)
    pairs = f"- {{name: m, teacher: [{{layer: 0}}], student: [{sites}]}}"
    (found,) = _plan((hybrid("A", "teacher"), student), pairs, None)
    moved = found.wrong_layer
    assert (moved and [site.hook_point.layer for site in moved.sites]) == expected


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("{layer: 0}", "{layer: 1, component: block_input}"),
        ("{layer: 0}", "{layer: 0, subspace_partition: [[0, 32]]}"),
        ("{layer: 0}", "{layer: 0, subspace_partition: [[16, 32]]}, {layer: 0, subspace_partition: [[0, 16]]}"),
        (
            "{layer: 0, component: attention_value_output}",
            "{layer: 0, component: head_attention_value_output, unit: h.pos, heads: [3, 2, 1, 0]}",
        ),
    ],
)
def test_another_pair_writes_to_something_else_whatever_it_is_called(models, own, other):
    pairs = f"- {{name: a, teacher: [{{layer: 0}}], student: [{own}]}}\n"
    pairs += f"- {{name: b, teacher: [{{layer: 1}}], student: [{other}]}}\n"
    assert [each.shuffled for each in _plan(models, pairs, None)] == [None, None]
    third = _plan(models, pairs + "- {name: c, teacher: [{layer: 2}], student: [{layer: 1}]}", None)[0].shuffled
    assert third is not None and third.sites[0].hook_point.name == "blocks.1.hook_out"
