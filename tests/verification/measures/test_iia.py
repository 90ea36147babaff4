import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.plan import plan
from causalkd.verification.measures.counters import MatchCounter, MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.measures.iia import measure, measure_all, untrained
from causalkd.verification.results.baselines import BASELINES
from tests.held_out import MIDDLE, pairs_of, teacher_and_student
from tests.oracles.interchange_accuracy import counterfactual_class, plain_class
from tests.tiny import TASKS_OF, tiny

HEADS = [("bert", task) for task in TASKS_OF["bert"]] + [("gpt2", "causal_lm"), ("opt", "classification")]


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    return teacher, student, *pairs_of(teacher, student)


@pytest.fixture(scope="module")
def measured(setting):
    teacher, student, alignment, batches = setting
    return measure(teacher, student, alignment, batches)


@pytest.mark.parametrize(("architecture", "task"), HEADS)
def test_a_teacher_against_itself_scores_exactly_one(architecture, task):
    teacher, _ = teacher_and_student(architecture, task)
    copy = HookedModel(tiny(architecture, task), task=task, role="student")
    alignment, batches = pairs_of(teacher, copy)
    found = measure(teacher, copy, alignment, batches, baselines=())
    for layer in range(teacher.n_layers):
        score = found.score(layer, layer)
        assert (score.iia, score.kl) == (1.0, 0.0)
        assert score.iia_effective in (1.0, None)
    assert found.score(0, 0).effective_pairs > 0
    assert found.score(0, 1).kl > 0


def test_every_comparison_equals_the_loop_over_rows(setting, measured):
    teacher, student, _, batches = setting
    rows = [(batch, row) for batch in batches for row in range(len(batch.counted))]
    answers = {}
    with torch.no_grad():
        for name, hooked in (("teacher", teacher), ("student", student)):
            for layer, block in enumerate(hooked.blocks):
                answers[name, layer] = [counterfactual_class(hooked.model, block, *at, "middle") for at in rows]
        plain = [plain_class(teacher.model, *at) for at in rows]
        own = [plain_class(student.model, *at) for at in rows]
    for t in range(3):
        changed = [a != b for a, b in zip(answers["teacher", t], plain, strict=True)]
        for s in range(2):
            score = measured.score(t, s)
            same = [a == b for a, b in zip(answers["teacher", t], answers["student", s], strict=True)]
            assert score.matches.tolist() == same
            assert score.effective_counts.tolist() == changed
            assert score.iia == sum(same) / len(same)
            stays = [a == b for a, b in zip(answers["student", s], own, strict=True)]
            quiet = [stay for stay, change in zip(stays, changed, strict=True) if not change]
            assert score.specificity == sum(quiet) / len(quiet)
            assert score.effective_pairs == sum(changed)
            if any(changed):
                assert score.iia_effective == sum(
                    match for match, counts in zip(same, changed, strict=True) if counts
                ) / sum(changed)


def test_results_do_not_depend_on_the_batch_size(setting, measured):
    teacher, student, alignment, _ = setting
    small = measure(
        teacher, student, alignment, pairs_of(teacher, student, batch_size=3)[1], baselines=("majority_class",)
    )
    assert len(small.scores) == 2 * 3 * 2  # measured and a baseline, for each pair of blocks
    for score in small.scores:
        same = measured.score(score.comparison.teacher_layer, score.comparison.student_layer, score.baseline)
        assert score.matches.tolist() == same.matches.tolist()
        assert score.effective_matches.tolist() == same.effective_matches.tolist()


def test_in_batch_sources_equal_the_same_rows_as_separate_sources(setting):
    teacher, student, alignment, batches = setting
    rows = torch.arange(len(batches[0].counted)).roll(1)
    drawn = batches[0].positions["middle"]
    first = Positions(
        drawn.base.clamp_max(3), drawn.base.clamp_max(3), drawn.valid & (torch.arange(drawn.valid.shape[1]) < 1)
    )
    inside = Batch(batches[0].inputs, source_rows=rows, positions={"middle": first})
    source = {name: tensor[rows] for name, tensor in inside.inputs.items()}
    apart = Batch(inside.inputs, source=source, positions={"middle": first})
    one, other = (measure(teacher, student, alignment, [batch], baselines=()) for batch in (inside, apart))
    assert len(one.scores) == 3 * 2
    for first_score, second_score in zip(one.scores, other.scores, strict=True):
        assert first_score.matches.tolist() == second_score.matches.tolist()
        assert first_score.effective_counts.tolist() == second_score.effective_counts.tolist()


def test_source_equal_to_base_has_no_effective_pair_and_says_nothing_of_reach(setting):
    teacher, student, alignment, batches = setting
    still = []
    for batch in batches:
        drawn = batch.positions["middle"]
        same = Positions(drawn.base, drawn.base, drawn.valid)
        still.append(Batch(batch.inputs, source=dict(batch.inputs), positions={"middle": same}))
    found = measure(teacher, student, alignment, still, baselines=("no_intervention",))
    for score in found.scores:
        assert score.effective_pairs == 0 and score.iia_effective is None and score.reachable
    for t, s in ((0, 0), (2, 1)):
        assert found.score(t, s).iia == found.score(t, s, "no_intervention").iia


def test_the_last_block_off_the_read_position_is_unreachable():
    teacher, student = teacher_and_student()
    words = MIDDLE.replace("consecutive, fraction: 0.5", "explicit, base: [1, 2], source: [2, 3]")
    alignment, batches = pairs_of(teacher, student, words)
    found = measure(teacher, student, alignment, batches)
    for score in found.scores:
        last = score.comparison.teacher_layer == 2 or score.comparison.student_layer == 1
        assert score.reachable == (not last)
    whole = MIDDLE.replace("consecutive, fraction: 0.5", "all")
    alignment, batches = pairs_of(teacher, student, whole)
    assert all(score.reachable for score in measure(teacher, student, alignment, batches, baselines=()).scores)


def test_a_random_student_is_near_chance():
    teacher, _ = teacher_and_student()
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(
        teacher, copy, MIDDLE.replace("fraction: 0.5", "fraction: 0.9"), n=300, batch_size=100
    )
    found = measure(teacher, copy, alignment, batches, baselines=("untrained_student", "majority_class"))
    for layer in (0, 1):
        real, random, guess = (
            found.score(layer, layer, name) for name in ("measured", "untrained_student", "majority_class")
        )
        assert real.iia_effective == 1.0
        assert random.iia <= guess.iia + 0.05
        assert random.iia_effective < 0.75


def test_baselines_are_what_they_say(setting, measured):
    teacher, student, _alignment, batches = setting
    # One declared pair has no other to be shuffled with.
    assert {score.baseline for score in measured.scores} == {"measured", *BASELINES} - {"shuffled_alignment"}
    with torch.no_grad():
        plain = torch.cat([student.run(batch.inputs).logits.argmax(-1) for batch in batches])
        own = torch.cat([teacher.run(batch.inputs).logits.argmax(-1) for batch in batches])
    score = measured.score(1, 0, "no_intervention")
    effective = torch.from_numpy(score.effective_counts).bool()
    # On an effective pair the teacher left its own prediction, so a student that shares it is wrong there.
    assert not score.effective_matches[(effective & (plain == own)).numpy()].any()
    modal = measured.score(1, 0, "majority_class")
    assert modal.kl is None and modal.matches.tolist() == measured.score(1, 1, "majority_class").matches.tolist()
    assert measured.score(1, 0, "permuted_source").matches.tolist() != measured.score(1, 0).matches.tolist()


def test_the_wrong_layer_is_the_student_half_its_depth_away(measured):
    for t in range(3):
        for s in range(2):
            assert measured.score(t, s, "wrong_layer").matches.tolist() == measured.score(t, 1 - s).matches.tolist()


def test_the_teacher_instead_of_the_student_is_the_ceiling(measured):
    ceiling = measured.score(1, 0, "ceiling", "middle")
    assert (ceiling.iia, ceiling.iia_effective) == (1.0, 1.0) and ceiling.kl == pytest.approx(0, abs=1e-6)
    assert [s.comparison.pair for s in measured.scores if s.baseline == "ceiling"] == ["middle"]


def test_a_shuffled_alignment_intervenes_on_the_student_at_the_next_pair():
    teacher, student = teacher_and_student()
    both = MIDDLE + "  - {name: late, teacher: [{layer: 2}], student: [{layer: 1}]}\n"
    alignment, batches = pairs_of(teacher, student, both)
    found = measure(teacher, student, alignment, batches, baselines=("shuffled_alignment",))
    for (t, s), other in {(1, 0): (1, 1), (2, 1): (2, 0)}.items():
        assert found.score(t, s, "shuffled_alignment").matches.tolist() == found.score(*other).matches.tolist()
    assert len([score for score in found.scores if score.baseline == "shuffled_alignment"]) == 2


def test_untrained_students_are_drawn_from_their_own_seeds(setting):
    teacher, student, alignment, batches = setting
    found = measure_all(teacher, [(student, alignment)] * 3, batches, baselines=("untrained_student",), seeds=[0, 1, 0])
    first, second, third = (each.score(1, 0, "untrained_student").kl for each in found)
    assert first == third != second
    comparisons = [plan(teacher, student, alignment, "block_output")] * 3
    truth, asked = TeacherCounterfactuals([]), [MeasurementPlan(own, ("untrained_student",)) for own in comparisons]
    tables = [(student, MatchCounter(truth, each, seed)) for each, seed in zip(asked, (0, 1, 0), strict=True)]
    assert len(untrained(tables)) == 2  # the same untrained student serves the first and the third


def test_a_last_batch_of_one_row_takes_its_permuted_source_from_the_batch_before(setting):
    teacher, student, alignment, _ = setting
    batches = pairs_of(teacher, student, n=17, batch_size=16)[1]
    assert len(batches[-1].counted) == 1
    found = measure(teacher, student, alignment, batches, baselines=("permuted_source",))
    assert len(found.score(1, 0, "permuted_source").matches) == 17


def test_declared_pairs_of_heads_and_subspaces_are_rows_of_their_own():
    teacher, student = teacher_and_student()
    declared = """
name: parts
positions: {policy: first, maximum: 3}
pairs:
  - name: head
    teacher: [{layer: 1, component: head_attention_value_output, unit: h.pos, heads: [2]}]
    student: [{layer: 0, component: head_attention_value_output, unit: h.pos, heads: [1]}]
  - name: part
    teacher: [{layer: 0, subspace_partition: [[0, 8], [8, 32]], subspaces: [0]}]
    student: [{layer: 0, subspace_partition: [[0, 8], [8, 32]], subspaces: [0]}]
"""
    alignment, batches = pairs_of(teacher, student, declared)
    rows = [
        row
        for row in measure(teacher, student, alignment, batches, baselines=()).rows("s", 3)
        if row.pair in ("head", "part")
    ]
    assert [
        (r.pair, r.component, r.unit, r.head, r.teacher_layer, r.student_layer, r.aligned, r.seed) for r in rows
    ] == [
        ("head", "head_attention_value_output", "h.pos", 2, 1, 0, True, 3),
        ("part", "block_output", "pos", None, 0, 0, True, 3),
    ]


def test_each_model_runs_once_a_layer_for_all_students(setting):
    teacher, student, alignment, batches = setting
    calls = []
    handle = teacher.model.classifier.register_forward_hook(lambda *_: calls.append(1))
    try:
        both = measure_all(teacher, [(student, alignment), (student, alignment)], batches[:1], baselines=())
    finally:
        handle.remove()
    # One base run and one counterfactual a layer; the source run ends at its last site, before the head.
    assert len(calls) == 1 + teacher.n_layers
    assert both[0].score(1, 0).matches.tolist() == both[1].score(1, 0).matches.tolist()


def test_modes_and_weights_are_left_as_they_were(setting):
    teacher, student, alignment, batches = setting
    student.model.train()
    student.model.classifier.eval()
    modes = [module.training for module in student.model.modules()]
    try:
        measure(teacher, student, alignment, batches[:1], baselines=("untrained_student",))
        assert [module.training for module in student.model.modules()] == modes
        with pytest.raises(ValueError, match="did you mean block_output"):
            measure(teacher, student, alignment, batches[:1], component="block_outputs")
        assert all(parameter.grad is None for parameter in student.model.parameters())
    finally:
        student.model.eval()


def test_the_same_seed_gives_the_same_rows(setting, measured):
    teacher, student, alignment, batches = setting
    assert measure(teacher, student, alignment, batches).rows("s", 0) == measured.rows("s", 0)


def test_faults_are_listed_at_once(setting):
    teacher, student, alignment, batches = setting
    bare = Batch(batches[0].inputs, batches[0].labels)
    with pytest.raises(ValueError) as error:
        measure(teacher, student, alignment, [bare], baselines=("luck",))
    assert "baseline 'luck' does not exist; choose from no_intervention" in str(error.value)
    assert "batch 0 has no sources" in str(error.value)
    assert "batch 0 has no positions for ['middle']" in str(error.value)
    with pytest.raises(ValueError, match="1 students and 0 batches"):
        measure(teacher, student, alignment, [])
    one = pairs_of(teacher, student, n=1)[1]
    with pytest.raises(ValueError, match="first batch has one row"):
        measure(teacher, student, alignment, one)
    other = resolve(Alignment.from_yaml(MIDDLE.replace("layer: 1", "layer: 0")), teacher, student)
    with pytest.raises(ValueError, match="different alignments"):
        measure_all(teacher, [(student, alignment), (student, other)], batches)
    with pytest.raises(ValueError, match="did you mean mlp_output"):
        measure(teacher, student, alignment, batches, component="mlp_out")


def test_other_vocabularies_are_refused():
    teacher, student = teacher_and_student()
    other = HookedModel(tiny("bert", "regression"), task="regression", role="student")
    _alignment, batches = pairs_of(teacher, student)
    with pytest.raises(ValueError, match="teacher and student do not fit"):
        measure(teacher, other, resolve(Alignment.from_yaml(MIDDLE), teacher, other), batches)
