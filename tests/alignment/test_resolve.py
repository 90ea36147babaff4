import functools
import re
from typing import get_args

import numpy as np
import pytest

from causalkd.alignment.basis import Basis
from causalkd.alignment.resolve import resolve, resolve_site
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.hooked_model import HookedModel, Role
from tests.tiny import MODELS, tiny


@functools.cache
def _model(architecture: str = "bert", task: str = "masked_lm", layers: int = 3) -> HookedModel:
    return HookedModel(tiny(architecture, task, layers=layers), task=task, role="student")


def _columns(site: ResolvedSite) -> list[int] | None:
    return None if site.columns is None else site.columns.tolist()


def _alignment(teacher: list[Site], student: list[Site], name: str = "pair") -> Alignment:
    pair = SitePair(name=name, teacher=tuple(teacher), student=tuple(student))
    return Alignment(name="a", positions=PositionPolicy(policy="all"), pairs=(pair,))


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_every_component_resolves_on_every_architecture(architecture: str, task: str):
    model = _model(architecture, task)
    for hook_point in model.hook_points():
        unit = "h.pos" if hook_point.component.startswith("head_") else "pos"
        resolved = resolve_site(Site(layer=hook_point.layer, component=hook_point.component, unit=unit), model)
        assert (resolved.hook_point, resolved.columns, resolved.source) == (hook_point, None, None)
        assert resolved.count == hook_point.width


NARROW, FITTING = (Basis.of(np.eye(width)[:, :2]) for width in (4, 32))
HEADS = {"layer": 1, "component": "head_attention_value_output", "unit": "h.pos"}


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"subspace_partition": [[4, 7]]}, [4, 5, 6]),
        ({"subspace_partition": [[0, 2], [30, 32], [9, 5, 7]]}, [0, 1, 30, 31, 9, 5, 7]),
        ({"subspace_partition": [[0, 2], [30, 32]], "subspaces": [1]}, [30, 31]),
        ({"subspace_partition": [[0, 2], [30, 32]], "subspaces": [1, 0]}, [30, 31, 0, 1]),
        (HEADS | {"heads": [2]}, list(range(16, 24))),
        (HEADS | {"heads": [3, 0]}, [*range(24, 32), *range(8)]),
        (HEADS | {"subspace_partition": [[6, 8]]}, [6, 7, 14, 15, 22, 23, 30, 31]),
        (HEADS | {"heads": [1], "subspace_partition": [[0, 1], [6, 8]], "subspaces": [1]}, [14, 15]),
    ],
)
def test_columns_are_heads_times_subspaces(given: dict[str, object], columns: list[int]):
    resolved = resolve_site(Site.model_validate({"layer": 1, **given}), _model())
    assert _columns(resolved) == columns
    assert resolved.count == len(columns)


def test_a_separate_source_site():
    read = Site(layer=1, component="block_input")
    resolved = resolve_site(Site(layer=1, source=read), _model())
    assert resolved.source is not None
    assert (resolved.hook_point.name, resolved.source.hook_point.name) == ("blocks.1.hook_out", "blocks.1.hook_in")


OUTSIDE = "lies outside block_output (32 columns: [0, 32])"
FAULTS: list[tuple[dict[str, object], str]] = [
    (
        {"layer": 7},
        "block_output of layer 7 does not exist; BertForMaskedLM has block_output in layers 0–2; did you mean layer 2 "
        "(blocks.2.hook_out)?",
    ),
    (
        {"layer": -1},
        "block_output of layer -1 does not exist; BertForMaskedLM has block_output in layers 0–2; did you mean layer 0 "
        "(blocks.0.hook_out)?",
    ),
    (
        {"layer": 1, "component": "token_embedding"},
        "token_embedding of layer 1 does not exist; BertForMaskedLM has token_embedding in layer 0; did you mean "
        "layer 0 (embed.hook_out)?",
    ),
    *(
        (
            {"component": name},
            f"component {name!r} is not supported here; this tensor is not offered; choose one of token_embedding, "
            "block_input, attention_value_output, head_attention_value_output, attention_output, mlp_output, "
            "block_output",
        )
        for name in ("mlp_input", "mlp_activation", "query_output")
    ),
    (
        {"component": "attention_output", "unit": "h.pos"},
        "unit h.pos needs a component that is split by heads, which attention_output is not; use "
        "head_attention_value_output",
    ),
    (
        {"component": "head_attention_value_output"},
        "head_attention_value_output is split by heads; write unit: h.pos, or component: attention_value_output",
    ),
    ({"heads": [0]}, "heads [0] given with unit pos; use head_attention_value_output and unit: h.pos"),
    (HEADS | {"heads": [1, 4, -1]}, "heads [4, -1] do not exist; there are heads 0–3"),
    (HEADS | {"heads": [1, 1]}, "heads [1, 1] names one twice; give each once"),
    (HEADS | {"heads": []}, "heads is empty; name at least one, or leave the key out for all"),
    ({"subspace_partition": [[16, 33]]}, f"subspace_partition [16, 33] {OUTSIDE}"),
    ({"subspace_partition": [[0, 31, 32]]}, f"subspace_partition [0, 31, 32] {OUTSIDE}"),
    ({"subspace_partition": [[-1, 3]]}, f"subspace_partition [-1, 3] {OUTSIDE}"),
    ({"subspace_partition": [[]]}, f"subspace_partition [] {OUTSIDE}"),
    (
        HEADS | {"subspace_partition": [[0, 9]]},
        "subspace_partition [0, 9] lies outside head_attention_value_output (one head, 8 columns: [0, 8])",
    ),
    (
        {"subspace_partition": [[4, 4]]},
        "subspace_partition [4, 4] is empty; start lies before stop, which is not included",
    ),
    ({"subspace_partition": []}, "subspace_partition is empty; give at least one [start, stop]"),
    (
        {"subspace_partition": [[0, 4], [2, 6], [3, 5, 1]]},
        "subspace_partition overlaps in columns 1–3, 5; a column belongs to one subspace",
    ),
    (
        {"subspace_partition": [[0, 4]], "subspaces": [1]},
        "subspaces [1] do not exist; there are subspaces 0–0",
    ),
    ({"subspaces": [0]}, "subspaces given without subspace_partition, which they count; give both"),
    ({"basis": NARROW}, "basis has directions of 4 numbers; blocks.1.hook_out has 32 columns"),
    (
        {"basis": FITTING, "subspace_partition": [[0, 4]]},
        "basis given with subspace_partition; it spans directions of the whole activation, so leave those out",
    ),
]


@pytest.mark.parametrize(("given", "fault"), FAULTS)
def test_one_fault(given: dict[str, object], fault: str):
    with pytest.raises(ValueError) as error:
        resolve_site(Site.model_validate({"layer": 1, **given}), _model())
    assert str(error.value) == f"site: {fault}"


def test_faults_of_a_source_site():
    source = Site(layer=9, component="block_input", source=Site(layer=0))
    with pytest.raises(ValueError) as error:
        resolve_site(Site(layer=1, source=source), _model())
    assert str(error.value).splitlines() == [
        "site.source: has a source of its own; a source's activation is read at one site",
        "site.source: block_input of layer 9 does not exist; BertForMaskedLM has block_input in layers 0–2; did you "
        "mean layer 2 (blocks.2.hook_in)?",
    ]
    narrow = Site(layer=0, subspace_partition=((0, 8),))
    with pytest.raises(ValueError) as error:
        resolve_site(Site(layer=1, source=narrow), _model())
    assert str(error.value) == (
        "site.source: blocks.0.hook_out gives 8 columns, but 32 columns of blocks.1.hook_out are written; choose as "
        "many"
    )


def test_one_error_lists_every_fault_of_an_alignment():
    head = Site(layer=0, component="head_attention_value_output", unit="h.pos")
    alignment = Alignment(
        name="early",
        positions=PositionPolicy(policy="all"),
        pairs=(
            SitePair(name="a", teacher=(Site(layer=0), Site(layer=7)), student=(Site(layer=7),)),
            SitePair(name="b", teacher=(), student=(Site(layer=0), Site(layer=0, subspace_partition=((4, 8),)))),
            SitePair(name="a", teacher=(head, Site(layer=0, component="attention_value_output")), student=(head,)),
        ),
    )
    with pytest.raises(ValueError) as error:
        resolve(alignment, _model(layers=4), _model("gpt2", "causal_lm"))
    assert str(error.value).splitlines() == [
        "alignment 'early' does not fit this teacher (BertForMaskedLM, layers 0–3, width 32, 4 heads) and student "
        "(GPT2LMHeadModel, layers 0–2, width 32, 4 heads):",
        "  pairs[2].name: 'a' is the name of pairs[0] too; names are unique",
        "  pairs[0].teacher[1]: block_output of layer 7 does not exist; BertForMaskedLM has block_output in layers 0–3;"
        " did you mean layer 3 (blocks.3.hook_out)?",
        "  pairs[0].student[0]: block_output of layer 7 does not exist; GPT2LMHeadModel has block_output in layers 0–2;"
        " did you mean layer 2 (blocks.2.hook_out)?",
        "  pairs[1].teacher: no site; give at least one",
        "  pairs[1].student: two sites write columns 4–7 of blocks.0.hook_out; keep one of them",
        "  pairs[2].teacher: two sites write columns 0–31 of blocks.0.attn.o.hook_in; keep one of them",
    ]


def test_an_alignment_without_pairs():
    alignment = Alignment(name="none", positions=PositionPolicy(policy="all"), pairs=())
    with pytest.raises(ValueError, match="pairs: no pair; give at least one"):
        resolve(alignment, _model(), _model())


def test_one_block_gives_the_next_its_input():
    both = [Site(layer=0, source=Site(layer=1)), Site(layer=1, component="block_input")]
    with pytest.raises(ValueError, match=r"two sites write columns 0–31 of blocks.1.hook_in; keep one of them"):
        resolve(_alignment(both, [Site(layer=2)]), _model(), _model())
    resolve(_alignment([Site(layer=0), Site(layer=0, component="block_input")], [Site(layer=2)]), _model(), _model())


def test_teacher_and_student_are_not_in_each_others_place():
    teacher, student = (HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role=role) for role in get_args(Role))
    alignment = _alignment([Site(layer=1)], [Site(layer=2)])
    resolve(alignment, teacher, student)
    for call in (functools.partial(resolve, alignment), check_pair):
        with pytest.raises(ValueError, match=r"teacher, .* is given as the student .* give the teacher first"):
            call(student, teacher)


def test_two_sites_may_share_a_hook_point_but_no_column():
    halves = [Site(layer=0, subspace_partition=((0, 16),)), Site(layer=0, subspace_partition=((16, 32),))]
    pairs = resolve(_alignment(halves, [Site(layer=2)]), _model(), _model()).pairs
    assert [_columns(site) for site in pairs[0].teacher] == [list(range(16)), list(range(16, 32))]


def test_resolved_pairs_carry_names_and_policies():
    own = PositionPolicy(policy="first", maximum=2)
    alignment = Alignment(
        name="two",
        positions=PositionPolicy(policy="all"),
        pairs=(
            SitePair(name="one", teacher=(Site(layer=0),), student=(Site(layer=1),)),
            SitePair(name="two", teacher=(Site(layer=2),), student=(Site(layer=1),), positions=own),
        ),
    )
    resolved = resolve(alignment, _model(), _model("opt", "causal_lm"))
    assert resolved.alignment is alignment
    assert [(pair.name, pair.policy) for pair in resolved.pairs] == [("one", alignment.positions), ("two", own)]


def test_the_table_shows_every_site():
    alignment = Alignment.from_yaml("""
name: show
positions: {policy: consecutive, fraction: 0.3}
pairs:
  - name: heads
    teacher: [{component: blocks.1.hook_z, unit: h.pos, heads: [0, 2]}]
    student: [{layer: 0, source: {layer: 0, component: block_input}}]
  - name: ends
    positions: {policy: last}
    teacher: [{layer: 2}]
    student: [{layer: 2, component: mlp_output, subspace_partition: [[0, 4], [9, 10]]}]
""")
    lines = resolve(alignment, _model(), _model("gpt2", "causal_lm")).table().splitlines()
    random_span = "consecutive, fraction 0.3"
    value, mlp = "bert.encoder.layer.1.attention.output.dense", "transformer.h.2.mlp.c_proj"
    assert [re.split("  +", line) for line in lines if not line.startswith("-")] == [
        ["pair", "model", "hook point", "module", "width", "columns", "positions"],
        ["heads", "teacher", "blocks.1.attn.o.hook_in", value, "32", "0–7, 16–23", random_span],
        ["heads", "student", "blocks.0.hook_out", "transformer.h.0", "32", "all", random_span],
        ["", "reads source at", "blocks.0.hook_in", "transformer.h.0", "32", "all"],
        ["ends", "teacher", "blocks.2.hook_out", "bert.encoder.layer.2", "32", "all", "last"],
        ["ends", "student", "blocks.2.mlp.out.hook_out", mlp, "32", "0–3, 9", "last"],
    ]
    turned = _alignment([Site(layer=0, basis=FITTING)], [Site(layer=1)])
    assert "32     2 directions  all" in resolve(turned, _model(), _model()).table()
    starts = {line.index(cell) for line, cell in zip(lines[2:4], ("0–7", "all"), strict=True)}
    assert starts == {lines[0].index("columns")}
