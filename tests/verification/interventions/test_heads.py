import pytest

from causalkd.alignment.presets import preset
from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.heads import BY_HEAD, head_comparisons
from causalkd.verification.measures.iia import measure, measure_comparisons
from causalkd.verification.results.baselines import explaining
from tests.held_out import MIDDLE, hybrid, pairs_of, teacher_and_student
from tests.tiny import tiny


@pytest.fixture(scope="module")
def teacher():
    return teacher_and_student()[0]


def _by_head(teacher, student, alignment, batches):
    comparisons = [head_comparisons(teacher, student, alignment)]
    (found,) = measure_comparisons(teacher, [student], comparisons, batches, explaining(), [0])
    return found


def test_a_copy_s_heads_are_their_own_counterparts(teacher):
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(teacher, copy, MIDDLE.replace("student: [{layer: 0}]", "student: [{layer: 1}]"))
    found = _by_head(teacher, copy, alignment, batches)
    rows = found.rows("copy", 0)
    heads = teacher.n_heads
    assert heads > 1 and len(rows) == heads**2 * (1 + len(explaining()))
    own = {(row.head, row.student_head): row for row in rows if row.baseline == "measured"}
    assert all(row.iia == 1.0 and row.kl == 0.0 for (t, s), row in own.items() if t == s)
    assert all(row.kl > 0 for (t, s), row in own.items() if t != s)
    assert {(row.pair, row.component, row.unit, row.teacher_layer, row.student_layer, row.aligned) for row in rows} == {
        ("middle", BY_HEAD, "h.pos", 1, 1, False)
    }


def test_a_comparison_is_the_declared_pair_of_those_two_heads(teacher):
    student = teacher_and_student()[1]
    alignment, batches = pairs_of(teacher, student)
    found = _by_head(teacher, student, alignment, batches)
    site = "[{{layer: {}, component: " + BY_HEAD + ", unit: h.pos, heads: [{}]}}]"
    declared = Alignment.from_yaml(
        MIDDLE.replace("[{layer: 1}]", site.format(1, 1)).replace("[{layer: 0}]", site.format(0, 0))
    )
    pair, again = pairs_of(teacher, student, declared.to_yaml())
    (expected,) = (
        s for s in measure(teacher, student, pair, again, baselines=()).scores if s.comparison.pair == "middle"
    )
    (score,) = (
        s for s in found.scores if (s.baseline, s.comparison.head, s.comparison.student_head) == ("measured", 1, 0)
    )
    assert score.matches.tolist() == expected.matches.tolist()
    assert score.effective_counts.tolist() == expected.effective_counts.tolist() and score.kl == expected.kl


def test_the_heads_of_every_layer_of_a_pair_are_compared(teacher):
    alignment = preset("full", 3, 2)
    found = head_comparisons(teacher, (student := teacher_and_student()[1]), resolve(alignment, teacher, student))
    assert {(c.pair, c.teacher_layer, c.student_layer) for c in found} == {
        ("full_0", 0, 0),
        ("full_1", 1, 1),
        ("full_1", 2, 1),
    }
    assert len({(c.teacher_layer, c.head, c.student_layer, c.student_head) for c in found}) == 3 * teacher.n_heads**2


def test_a_pair_at_layers_without_heads_is_left_out():
    models = hybrid("CA", "teacher"), hybrid("CA", "student")
    told = r"pair 'full_0' is not in the table of heads: none are in the pair's layers of "
    of_teacher, of_student = (rf"the {role} \(Lfm2ForCausalLM\)" for role in ("teacher", "student"))
    with pytest.warns(UserWarning, match=f"{told}{of_teacher} and of {of_student}$"):
        found = head_comparisons(*models, resolve(preset("full", 2, 2), *models))
    assert {(c.pair, c.teacher_layer, c.student_layer) for c in found} == {("full_1", 1, 1)}
    models = hybrid("CA", "teacher"), hybrid("AC", "student")
    with pytest.warns(UserWarning) as told_of:
        assert head_comparisons(*models, resolve(preset("full", 2, 2), *models)) == ()
    assert [str(each.message).split(" of the ")[-1].split()[0] for each in told_of] == ["teacher", "student"]
