from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.passes import ObservedModel, run_passes
from causalkd.verification.interventions.plan import plan
from causalkd.verification.measures.counters import MeasurementPlan, Table, TeacherCounterfactuals
from tests.held_out import pairs_of, teacher_and_student
from tests.tiny import tiny


def test_a_copy_matches_every_counterfactual_batch_by_batch():
    teacher, _ = teacher_and_student()
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(teacher, copy, n=10, batch_size=4)
    comparisons = plan(teacher, copy, alignment, "block_output", None)
    asked = MeasurementPlan(comparisons, ("majority_class", "norm_matched_random"))
    truth = TeacherCounterfactuals([asked])
    table = Table(truth, asked, seed=0)
    for batch in batches:
        run_passes([ObservedModel(teacher, truth), ObservedModel(copy, table)], [batch])
        assert truth.rows == len(batch.counted) and truth.ceiling == {}
    found = table.measurement()
    assert {len(score.matches) for score in found.scores} == {10}
    for layer in range(teacher.n_layers):
        assert found.score(layer, layer).matches.all()
        assert (
            found.score(layer, layer).effective_matches.tolist() == found.score(layer, layer).effective_counts.tolist()
        )
    assert not found.score(0, 0, "norm_matched_random").matches.all()
    assert {score.baseline for score in found.scores} == {"measured", "majority_class", "norm_matched_random"}
