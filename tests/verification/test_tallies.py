import torch

from causalkd.models.hooked import HookedModel
from causalkd.verification.cells import plan
from causalkd.verification.tallies import Table, Truth
from tests.held_out import pairs_of, teacher_and_student
from tests.tiny import tiny


def test_a_copy_matches_every_counterfactual_batch_by_batch():
    teacher, _ = teacher_and_student()
    copy = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    alignment, batches = pairs_of(teacher, copy, n=10, batch_size=4)
    cells = plan(teacher, copy, alignment, "block_output", None)
    truth = Truth(teacher, tuple({cell.teacher.name: cell.teacher for cell in cells}.values()), ())
    table = Table(copy, cells, ("modal_class", "random_subspace"), seed=0)
    with torch.no_grad():
        for batch in batches:
            truth.add(batch)
            assert truth.rows == len(batch.counted) and truth.ceiling == {}
            table.add(batch, truth)
    found = table.measurement(truth)
    assert {len(score.matches) for score in found.scores} == {10}
    for layer in range(teacher.n_layers):
        assert found.score(layer, layer).matches.all()
        assert (
            found.score(layer, layer).effective_matches.tolist() == found.score(layer, layer).effective_counts.tolist()
        )
    assert not found.score(0, 0, "random_subspace").matches.all()
    assert {score.control for score in found.scores} == {"none", "modal_class", "random_subspace"}
