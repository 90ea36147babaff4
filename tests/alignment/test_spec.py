import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformer_lens.tools.analysis.interchange import random_basis

from causalkd.alignment.basis import Basis
from causalkd.alignment.pyvene.architectures import pyvene
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.draw_positions import PositionPolicy
from tests.forked import ended

MIDDLE = """
name: middle
positions: {policy: consecutive, fraction: 0.3}
pairs:
  - name: middle
    teacher: [{layer: 6, component: block_output, unit: pos}]
    student: [{layer: 3, component: block_output, unit: pos}]
"""

EVERYTHING = """
name: "everything: é, yes"
positions: {policy: scattered, fraction: 0.1, maximum: 4, same: true}
pairs:
  - name: heads
    teacher:
      - {layer: 2, component: head_attention_value_output, unit: h.pos, heads: [0, 3], subspace_partition: [[0, 4]]}
      - {layer: 5}
    student:
      - layer: 1
        subspace_partition: [[0, 4], [4, 16], [16, 17, 19]]
        subspaces: [0, 2]
        source: {layer: 1, component: block_input, subspace_partition: [[4, 11]]}
    positions: {policy: segments, segments: [premise, "no"]}
  - name: second
    teacher: [{layer: 0, component: token_embedding}]
    student: [{layer: 0, component: query_output}]
    positions: {policy: explicit, base: [0, 2], source: [1, 3]}
"""


def _policy() -> PositionPolicy:
    return PositionPolicy(policy="all")


def _alignment(*pairs: tuple[list[Site], list[Site]]) -> Alignment:
    named = tuple(SitePair(name=f"p{i}", teacher=tuple(t), student=tuple(s)) for i, (t, s) in enumerate(pairs))
    return Alignment(name="a", positions=_policy(), pairs=named)


# YAML


def test_reads_the_documented_example():
    alignment = Alignment.from_yaml(MIDDLE)
    assert alignment.name == "middle"
    assert alignment.positions == PositionPolicy(policy="consecutive", fraction=0.3)
    assert alignment.pairs[0].teacher == (Site(layer=6, component="block_output", unit="pos"),)
    assert alignment.pairs[0].student[0].layer == 3
    assert alignment.policies() == {"middle": alignment.positions}


@pytest.mark.parametrize("text", [MIDDLE, EVERYTHING])
def test_yaml_and_back_loses_nothing(text: str):
    alignment = Alignment.from_yaml(text)
    written = alignment.to_yaml()
    assert Alignment.from_yaml(written) == alignment
    assert Alignment.from_yaml(written).to_yaml() == written


def test_written_yaml_names_the_hook_point_and_no_other_defaults():
    assert Alignment.from_yaml(MIDDLE).to_yaml() == MIDDLE.lstrip().replace("  - ", "- ").replace("    ", "  ").replace(
        "teacher: [{layer: 6, component: block_output, unit: pos}]",
        "teacher:\n  - {layer: 6, component: block_output, unit: pos}",
    ).replace(
        "student: [{layer: 3, component: block_output, unit: pos}]",
        "student:\n  - {layer: 3, component: block_output, unit: pos}",
    )


def test_reads_a_file_by_path_or_name(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text(MIDDLE)
    assert Alignment.from_yaml(file) == Alignment.from_yaml(str(file)) == Alignment.from_yaml(MIDDLE)


def test_a_pair_may_have_its_own_policy():
    alignment = Alignment.from_yaml(EVERYTHING)
    assert alignment.policy(alignment.pairs[0]).segments == ("premise", "no")
    assert alignment.policies()["second"].source == (1, 3)


def test_sites_are_frozen_and_refuse_unknown_keys_in_python_too():
    site = Site(layer=1)
    with pytest.raises(ValidationError):
        site.layer = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        Site.model_validate({"layer": 1, "layers": 2})


# pyvene


def _config(*parts: object, **rest: object) -> pyvene.IntervenableConfig:
    return pyvene.IntervenableConfig(list(parts), **rest)


PART = pyvene.RepresentationConfig
VANILLA = pyvene.VanillaIntervention
CONFIGS = {
    "default": (_config(PART()), _config(PART())),
    "positional": (_config(PART(6, "block_output", "pos", 1)), _config([3, "mlp_output", "pos", 2])),
    "by_name": (_config({"layer": 4, "component": "attention_output"}), _config({"layer": 2})),
    "heads": (
        _config({"layer": 1, "component": "head_attention_value_output", "unit": "h.pos", "max_number_of_units": 3}),
        _config({"layer": 0, "component": "head_query_output", "unit": "h.pos"}),
    ),
    "partition": (
        _config(PART(layer=1, subspace_partition=[[0, 4], [4, 16], [16, 18, 21]])),
        _config(PART(layer=1, subspace_partition=[[0, 32]])),
    ),
    "several": (_config(PART(1), PART(2), PART(3)), _config(PART(0), PART(1), PART(2))),
    "uneven": (_config(PART(1), PART(2), PART(3)), _config(PART(0))),
    "none": (_config(), _config(PART(0))),
    "groups": (
        _config(PART(1, group_key=0), PART(2, group_key=0), PART(3, group_key=1)),
        _config(PART(0, group_key=0), PART(1, group_key=1)),
    ),
    "other_groups": (_config(PART(1, group_key=0), PART(2, group_key=1)), _config(PART(0), PART(1))),
    "mixed_groups": (
        _config(PART(1, group_key=0), PART(2, group_key=1), PART(3, group_key=0)),
        _config(PART(1, group_key=0), PART(2, group_key=1), PART(3, group_key=0)),
    ),
    "typed": (
        _config(PART(1, intervention_type=VANILLA), PART(2, intervention_type=VANILLA)),
        _config(PART(0), intervention_types=[VANILLA]),
    ),
    "loaded": (
        _config(
            PART(1),
            sorted_keys=["layer_1_comp_block_output_unit_pos_nunit_1#0"],
            model_type="<class 'transformers.models.bert.modeling_bert.BertModel'>",
            intervention_dimensions=[None, 32],
            intervention_constant_sources=[False],
        ),
        _config(PART(1)),
    ),
}


SAID = ("layer", "component", "unit", "subspace_partition")


@pytest.mark.parametrize("name", CONFIGS)
def test_pyvene_and_back_says_the_same(name: str):
    teacher, student = CONFIGS[name]
    before = copy.deepcopy((vars(teacher), vars(student)))
    alignment = Alignment.from_pyvene(teacher, student)
    assert (vars(teacher), vars(student)) == before
    back = alignment.to_pyvene()[:2]
    for config, again in zip((teacher, student), back, strict=True):
        assert type(again) is pyvene.IntervenableConfig
        said = [[pyvene.RepresentationConfig(*part)._asdict() for part in x.representations] for x in (config, again)]
        assert [[part[key] for key in SAID] for part in said[0]] == [[part[key] for key in SAID] for part in said[1]]
    assert Alignment.from_pyvene(*back) == alignment == Alignment.from_yaml(alignment.to_yaml())


def test_takes_what_pyvene_takes_for_a_config():
    expected = Alignment.from_pyvene(_config(PART(2, "mlp_output")), _config(PART(2, "mlp_output")))
    by_name = {"layer": 2, "component": "mlp_output"}
    for given in (PART(2, "mlp_output"), by_name, [by_name], [PART(2, "mlp_output")], [[2, "mlp_output"]]):
        assert Alignment.from_pyvene(given, given) == expected
    assert by_name == {"layer": 2, "component": "mlp_output"}


def test_pyvene_pairs_form_by_order_or_by_group():
    ordered = Alignment.from_pyvene(*CONFIGS["several"])
    assert [(pair.teacher[0].layer, pair.student[0].layer) for pair in ordered.pairs] == [(1, 0), (2, 1), (3, 2)]
    grouped = Alignment.from_pyvene(*CONFIGS["groups"])
    assert [[site.layer for site in pair.teacher] for pair in grouped.pairs] == [[1, 2], [3]]
    assert [len(Alignment.from_pyvene(*CONFIGS[name]).pairs) for name in ("uneven", "mixed_groups")] == [1, 1]
    teacher = _config(PART(2, group_key="a"), PART(4, group_key="b"))
    other = Alignment.from_pyvene(teacher, _config(PART(2, group_key="b"), PART(1, group_key="a")))
    assert [(pair.teacher[0].layer, pair.student[0].layer) for pair in other.pairs] == [(2, 1), (4, 2)]


def test_pairs_of_several_sites_become_groups():
    alignment = _alignment(([Site(layer=0), Site(layer=1)], [Site(layer=0)]), ([Site(layer=2)], [Site(layer=1)]))
    teacher, student, _ = alignment.to_pyvene()
    assert [part.group_key for part in teacher.representations] == [0, 0, 1]
    assert [part.group_key for part in student.representations] == [0, 1]
    again = Alignment.from_pyvene(teacher, student)
    assert [(len(pair.teacher), len(pair.student)) for pair in again.pairs] == [(2, 1), (1, 1)]


def test_what_pyvene_cannot_hold_is_named():
    *_, left_out = Alignment.from_yaml(EVERYTHING).to_pyvene()
    assert left_out == (
        "name: everything: é, yes",
        "positions: policy scattered, fraction 0.1, maximum 4, same True",
        "pairs[0].name: heads",
        "pairs[0].positions: policy segments, segments ['premise', 'no']",
        "pairs[0].teacher[0].heads: [0, 3]",
        "pairs[0].teacher[0].subspaces: [0]",
        "pairs[0].student[0].subspaces: [0, 2]",
        "pairs[0].student[0].source: layer 1, component block_input, unit pos, subspace_partition [[4, 11]]",
        "pairs[1].name: second",
        "pairs[1].positions: policy explicit, base [0, 2], source [1, 3]",
    )


def test_learned_directions_go_to_pyvene_and_back():
    basis = Basis.of(random_basis(8, 2, 0).numpy())
    whole = Site(layer=1)
    alignment = _alignment(([Site(layer=0, basis=basis)], [Site(layer=2, basis=basis)]), ([whole], [whole]))
    teacher, student, left_out = alignment.to_pyvene()
    assert not any("basis" in line for line in left_out)
    kinds = [type(part.intervention) for part in teacher.representations]
    assert kinds == [pyvene.LowRankRotatedSpaceIntervention, type(None)]
    assert teacher.representations[1].intervention_type is VANILLA  # pyvene takes a kind for all sites or for none
    again = Alignment.from_pyvene(teacher, student)
    assert [pair.teacher[0].layer for pair in again.pairs] == [0, 1] and again.pairs[1].teacher == (whole,)
    for pair, side in zip(again.pairs[:1], ("teacher", "student"), strict=False):
        found = getattr(pair, side)[0].basis
        assert found is not None
        np.testing.assert_allclose(found.columns(), basis.columns(), rtol=0, atol=1e-6)


def test_one_error_lists_everything_that_cannot_be_carried():
    teacher = _config(
        PART(1, low_rank_dimension=4, intervention_type=pyvene.LowRankRotatedSpaceIntervention),
        PART(2, "h[0].mlp.output", "t", intervention_type=VANILLA, moe_key=1, latent_dim=3),
        PART(True, intervention=lambda base, source: base, intervention_link_key=3, subspace_partition=[1]),
        mode="serial",
        flavour="sweet",
    )
    student = _config(
        PART(1, source_representation=torch.zeros(3)),
        intervention_types=pyvene.AdditionIntervention,
        intervention_constant_sources=[True],
    )
    with pytest.raises(ValueError) as error:
        Alignment.from_pyvene(teacher, student)
    lines = str(error.value).splitlines()
    starts = [
        "these parts of a pyvene config cannot be carried by an alignment:",
        "  teacher_config.representations[0].low_rank_dimension: 4 given, which is to be learned",
        "  teacher_config.representations[0].intervention_type: LowRankRotatedSpaceIntervention given, but only",
        "  teacher_config.representations[1].latent_dim: 3 given, which is to be learned; give the trained",
        "  teacher_config.representations[1].moe_key: 1 given, which is a single expert",
        "  teacher_config.representations[2].intervention_link_key: 3 given, which is for interventions that share",
        "  teacher_config.representations[2].intervention: <function",
        "  teacher_config.mode: 'serial' given; only 'parallel' interventions are supported",
        "  teacher_config.flavour: 'sweet' given, which is not a field of an intervention",
        "  teacher_config.representations[1].component: 'h[0].mlp.output' is not a component; ",
        "  teacher_config.representations[1].unit: 't' is not valid; ",
        "  teacher_config.representations[2].layer: True given; input should be a valid integer",
        "  teacher_config.representations[2].subspace_partition[0]: 1 given, but this is a list",
        "  student_config.representations[0].source_representation: tensor([0., 0., 0.]) given, which is a constant",
        "  student_config.intervention_types: AdditionIntervention given, but only VanillaIntervention is supported",
        "  student_config.intervention_constant_sources: a constant source",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start), line


def test_values_that_are_no_config():
    with pytest.raises(ValueError, match=r"teacher_config.representations: .*unexpected keyword argument 'layr'"):
        Alignment.from_pyvene({"layr": 1}, {"layer": 1})


@pytest.mark.starts_python
def test_pyvene_is_imported_when_needed_and_without_a_print():
    """Nor do the command line and its commands import it, which the process that is forked has imported."""
    done = ended("tests.alignment.late_pyvene")
    assert (done.code, done.stdout) == (0, ""), done.stderr


def test_a_pair_is_not_named_like_a_site_that_is_not_declared():
    with pytest.raises(ValueError, match="'grid:a' begins with 'grid:', which names sites that are not declared"):
        Alignment.from_yaml(MIDDLE.replace("name: middle\n    teacher", "name: grid:a\n    teacher"))
