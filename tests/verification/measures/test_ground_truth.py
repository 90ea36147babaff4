import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.synthetic.nli import VARIABLES as PLANTED
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.models.students import untrained_copy
from causalkd.verification.measures.ground_truth import KnownAnswers, ground_truth
from causalkd.verification.measures.iia import measure
from causalkd.verification.results.baselines import BASELINES
from tests.handmade import PAD, SEGMENTS, VARIABLES, WIDTH, counterfactual_labels, examples, handmade
from tests.shrunk import planted_model

POLICIES = {name: PositionPolicy(policy="segments", segments=(name,)) for name in SEGMENTS}
CARRIES = {
    ("block_input", 0, "x"): "x",
    ("block_input", 0, "y"): "y",
    ("block_input", 0, "bit"): "bit",
    ("block_output", 0, "y"): "equal",
    ("block_output", 0, "bit"): "bit",
    ("block_output", 1, "bit"): "label",
}
"""What each hook point of the hand-made transformer holds that anything after it reads."""


@pytest.fixture(scope="module")
def batches():
    return pair_batches(examples(), evaluation_pairs(examples(), 600, seed=0), POLICIES, 100, PAD)


@pytest.fixture(scope="module")
def answers(batches):
    return KnownAnswers.of(counterfactual_labels, VARIABLES, batches)


@pytest.fixture(scope="module")
def rows(batches, answers):
    parts = (
        ground_truth(handmade(), answers, batches, name="teacher", component=c) for c in ("block_input", "block_output")
    )
    return {(row.component, row.layer, row.pair, row.variable): row for part in parts for row in part}


def test_the_handmade_transformer_scores_one_where_a_variable_is(rows):
    for hook_point, variable in CARRIES.items():
        row = rows[*hook_point, variable]
        assert (row.iia, row.iia_effective) == (1.0, 1.0), hook_point
        assert row.effective_pairs >= 100 and row.q_value < 1e-3  # of few rows, which many pairs share


def test_it_does_nothing_where_nothing_is_read_any_more(rows):
    for hook_point in (("block_output", 0, "x"), ("block_output", 1, "x"), ("block_output", 1, "y")):
        for variable in VARIABLES:
            assert (
                rows[*hook_point, variable].iia_effective
                == 0.0
                == rows[*hook_point, variable].baselines["no_intervention"]
            )


def test_a_hook_point_that_carries_another_variable_is_within_what_chance_gives(rows):
    # The symbols decide `equal`, but whether two rows are equal does not follow from one symbol of each.
    for hook_point, variable in (
        (("block_output", 0, "y"), "x"),
        (("block_input", 0, "y"), "x"),
        (("block_input", 0, "bit"), "y"),
    ):
        row = rows[*hook_point, variable]
        assert row.iia_effective_low <= max(row.baselines.values()), (hook_point, variable)


def test_only_hook_points_that_carry_a_variable_are_perfect(rows):
    # What enters block 1 is what leaves block 0.
    perfect = {key for key, row in rows.items() if row.iia == 1.0 and key[:2] != ("block_input", 1)}
    assert perfect == {(*hook_point, variable) for hook_point, variable in CARRIES.items()}


def test_the_apparatus_finds_the_student_that_computes_the_same_in_other_axes(batches):
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    teacher, student = handmade(), handmade("student", order)
    alignment = Alignment.from_yaml(
        "{name: equal, positions: {policy: segments, segments: [y]}, "
        "pairs: [{name: y, teacher: [{layer: 0}], student: [{layer: 0}]}]}"
    )
    found = measure(teacher, student, resolve(alignment, teacher, student), batches)
    right = found.score(0, 0)
    assert (right.iia, right.iia_effective) == (1.0, 1.0) and right.effective_pairs >= 100
    explained = {row.baseline: row.q_value for row in found.rows("s", 0) if row.student_layer == row.teacher_layer == 0}
    assert all(explained[name] < 0.001 for name in BASELINES if name not in ("ceiling", "shuffled_alignment"))
    untrained = found.score(0, 0, "untrained_student")
    assert untrained.iia_effective < 0.7


def test_an_untrained_model_computes_nothing(batches, answers):
    found = ground_truth(untrained_copy(handmade(), 0), answers, batches, name="s", seed=0)
    # The bit alone decides seven labels of eight, and is there to be read in any model; `equal` has to be computed.
    computed = [row for row in found if row.variable in ("x", "y", "equal")]
    assert all(row.iia_effective <= max(row.baselines.values()) or row.q_value > 0.01 for row in computed)


def test_a_planted_task_is_asked_about_the_very_pairs():
    task = PlantedNLI()
    rows = task.examples("heldout", 30, 0)
    base, source = evaluation_pairs(rows, 40, 0)
    policies = {"premise": PositionPolicy(policy="segments", segments=("premise",))}
    batches = pair_batches(rows, (base, source), policies, 16, 0)
    answers = KnownAnswers.of(task.many_counterfactual_labels, PLANTED, batches)
    assert answers.plain.tolist() == [rows[b]["label"] for b in base]
    expected = [task.counterfactual_label(rows[b], rows[s], "noun_relation") for b, s in zip(base, source, strict=True)]
    assert answers.counterfactual["noun_relation"].tolist() == expected
    found = ground_truth(planted_model(), answers, batches, name="student", seed=3)
    assert {(row.variable, row.layer) for row in found} == {(v, layer) for v in PLANTED for layer in (0, 1)}
    assert {(row.model, row.seed, row.pair, row.pairs) for row in found} == {("student", 3, "premise", 40)}


def test_a_last_batch_of_one_row_takes_another_row_s_source_from_the_batch_before():
    batches = pair_batches(examples(), evaluation_pairs(examples(), 11, seed=0), POLICIES, 10, PAD)
    assert len(batches[-1].counted) == 1
    found = ground_truth(handmade(), KnownAnswers.of(counterfactual_labels, ("y",), batches), batches, name="teacher")
    assert {row.pairs for row in found} == {11}


def test_pairs_without_separate_sources_are_refused(batches):
    inside = type(batches[0])(batches[0].inputs, source_rows=torch.arange(100).roll(1), positions=batches[0].positions)
    with pytest.raises(ValueError, match="no separate sources"):
        KnownAnswers.of(counterfactual_labels, VARIABLES, [inside])


def test_a_component_that_no_layer_has_and_no_batches_are_refused(batches):
    answers = KnownAnswers.of(counterfactual_labels, VARIABLES, batches)
    with pytest.raises(ValueError, match=r"has no block_outptu in any layer; it has .*block_output"):
        ground_truth(handmade(), answers, batches, name="teacher", component="block_outptu")
    with pytest.raises(ValueError, match="was given no batches of pairs"):
        ground_truth(handmade(), answers, [], name="teacher")


def test_labels_may_be_in_another_order_than_the_causal_models():
    task, own = PlantedNLI(), PlantedNLI().label_names
    drawn = task.examples("heldout", 60, 0)
    policies = {"all": PositionPolicy(policy="all")}
    batches = pair_batches(drawn, evaluation_pairs(drawn, 40, seed=0), policies, 20, task.tokenizer().pad_token_id)
    known = KnownAnswers.of(task.many_counterfactual_labels, PLANTED, batches)
    names = tuple(name.upper() for name in (own[1], own[0], own[2]))
    moved = known.in_label_order(own, names)
    assert {own[label].upper() for label in known.plain.tolist()} == set(names)
    assert [names[label] for label in moved.plain] == [own[label].upper() for label in known.plain]
    for variable, found in known.counterfactual.items():
        assert [names[label] for label in moved.counterfactual[variable]] == [own[label].upper() for label in found]
    assert known.in_label_order(own, own) is known is known.in_label_order((), ())
