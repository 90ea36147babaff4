from causalkd.models.hooked import HookedModel
from causalkd.verification.cells import plan
from causalkd.verification.observing import Observed, observe
from causalkd.verification.tallies import Asked, Table, Truth
from tests.held_out import pairs_of, teacher_and_student
from tests.tiny import tiny


def test_a_copy_matches_every_counterfactual_batch_by_batch():
    teacher, _ = teacher_and_student()
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(teacher, copy, n=10, batch_size=4)
    cells = plan(teacher, copy, alignment, "block_output", None)
    asked = Asked(cells, ("modal_class", "random_subspace"))
    truth = Truth([asked])
    table = Table(truth, asked, seed=0)
    for batch in batches:
        observe([Observed(teacher, truth), Observed(copy, table)], [batch])
        assert truth.rows == len(batch.counted) and truth.ceiling == {}
    found = table.measurement()
    assert {len(score.matches) for score in found.scores} == {10}
    for layer in range(teacher.n_layers):
        assert found.score(layer, layer).matches.all()
        assert (
            found.score(layer, layer).effective_matches.tolist() == found.score(layer, layer).effective_counts.tolist()
        )
    assert not found.score(0, 0, "random_subspace").matches.all()
    assert {score.control for score in found.scores} == {"none", "modal_class", "random_subspace"}
