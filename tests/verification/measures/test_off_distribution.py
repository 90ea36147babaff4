import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.processes.merged import merged
from causalkd.processes.processes import Processes
from causalkd.verification.interventions.counterfactuals import ModelPass
from causalkd.verification.interventions.plan import Intervention
from causalkd.verification.measures import off_distribution
from causalkd.verification.measures.off_distribution import OffDistribution, state_distances
from tests.drawn_predictions import Drawn
from tests.held_out import examples, pairs_of, teacher_and_student
from tests.tiny import PAD

WHOLE = """
name: whole
positions: {policy: all}
pairs: [{name: last, teacher: [{layer: 2}], student: [{layer: 1}]}]
"""


@pytest.fixture(scope="module")
def models():
    return teacher_and_student()


def _found(models, alignment, rows, n, batch_size=16):
    teacher, student = models
    declared = Alignment.from_yaml(alignment)
    batches = pair_batches(rows, evaluation_pairs(rows, n, 0), declared.policies(), batch_size, PAD)
    resolved = resolve(declared, teacher, student)
    found = state_distances(teacher, {pair.name: pair.teacher for pair in resolved.pairs}, batches, name="teacher")
    return found, batches


def _state(model, ids):
    given = torch.tensor([ids])
    return model.run({"input_ids": given, "attention_mask": torch.ones_like(given)}).hidden[0].mean(0).double().numpy()


def _lower_median(values):
    return sorted(values)[(len(values) - 1) // 2]  # torch's


def test_replacing_everything_leads_to_clean_states_only(models):
    rows = [row for row in examples("classification", 60) if len(row["input_ids"]) == 8]
    ((row,), _) = _found(models, WHOLE, rows, 2 * len(rows))
    assert (row.model, row.seed, row.pair, row.pairs) == ("teacher", None, "last", 2 * len(rows))
    # Every state is its source's, as far from the others as it ever was but that its base is left out too.
    with torch.no_grad():
        states = np.stack([_state(models[0], list(key)) for key in {tuple(each["input_ids"]) for each in rows}])
    apart = np.linalg.norm((states[:, None] - states) / states.std(0, ddof=1), axis=2) + np.diag([np.inf] * len(states))
    assert row.clean == pytest.approx(_lower_median(apart.min(1)), rel=1e-4)
    assert row.intervened >= row.clean > 0 and row.beyond < 0.3


def test_every_distance_equals_the_loop_over_pairs(models):
    teacher, student = models
    resolved, batches = pairs_of(teacher, student, n=24, batch_size=24)
    (row,) = state_distances(teacher, {"middle": resolved.pairs[0].teacher}, batches, name="t", seed=4)
    intervention = Intervention(resolved.pairs[0].teacher, "middle")
    (batch,) = batches
    with torch.no_grad():
        hidden = ModelPass.of(teacher, [intervention], batch).counterfactual(intervention).hidden
    ids = [
        [tuple(ids[mask.bool()].tolist()) for ids, mask in zip(part["input_ids"], part["attention_mask"], strict=True)]
        for part in (batch.inputs, batch.source)
    ]
    with torch.no_grad():
        clean = {key: _state(teacher, list(key)) for key in ids[0]}
    unit = np.std(list(clean.values()), axis=0, ddof=1)

    def nearest(state, left_out):
        return min(np.linalg.norm((state - other) / unit) for key, other in clean.items() if key not in left_out)

    before = [nearest(state, {key}) for key, state in clean.items()]
    after = []
    for number, (base, source) in enumerate(zip(*ids, strict=True)):
        state = hidden[number, batch.inputs["attention_mask"][number].bool()].mean(0).double().numpy()
        after.append(nearest(state, {base, source}))
    assert row.clean == pytest.approx(_lower_median(before), rel=1e-4)
    assert row.intervened == pytest.approx(_lower_median(after), rel=1e-4)
    assert row.beyond == np.mean([value > np.quantile(before, 0.95) for value in after])
    assert (row.model, row.seed, row.pairs) == ("t", 4, 24)


def test_states_that_no_input_leads_to_are_beyond(models):
    teacher, student = models
    resolved, batches = pairs_of(teacher, student, WHOLE.replace("layer: 2", "layer: 1"), n=40)
    sites = {"last": resolved.pairs[0].teacher}
    (near,) = state_distances(teacher, sites, batches, name="t")
    turns = itertools.cycle((1, 10))  # the last block runs for the base, then for the counterfactual
    handle = teacher.blocks[2].register_forward_hook(lambda module, args, output: output * next(turns))
    try:
        (far,) = state_distances(teacher, sites, batches, name="t")
    finally:
        handle.remove()
    assert far.clean == near.clean and far.beyond > 0.9 > near.beyond


def test_too_few_different_bases_say_nothing(models):
    rows = examples("classification", 3)
    found, _ = _found(models, WHOLE, rows, 6)
    assert found == ()


def _drawn_rows(sizes, shares=1):
    """The rows of so many processes, of random states, and what each process has kept."""
    drawn, parts = Drawn("classes", sizes), []
    for rank in range(shares):
        one = OffDistribution({"middle": Intervention((), "own")}, name="m")
        drawn.pass_over([], [one], [], Processes(shares, rank).share(len(sizes)))
        parts.append(one.noted)
    one.noted = merged(parts)
    return one.rows(), parts


def test_of_many_pairs_the_same_ones_are_drawn_in_any_number_of_processes(monkeypatch):
    sizes = [30, 50, 20, 40, 35, 25]
    (every,), _ = _drawn_rows(sizes)
    assert every.pairs == 200
    monkeypatch.setattr(off_distribution, "_MOST", 60)
    (alone,), (kept,) = _drawn_rows(sizes)
    assert alone.pairs == 60 and alone.intervened == pytest.approx(every.intervened, rel=0.3)
    assert max(len(kept.involved), len(kept.clean), sum(map(len, kept.counterfactual.popitem()[1]))) <= 120
    for shares in (2, 3):
        assert _drawn_rows(sizes, shares)[0] == (alone,)


def test_distances_are_the_same_however_few_are_computed_at_once(monkeypatch):
    whole = _drawn_rows([30, 50])[0]
    monkeypatch.setattr(off_distribution, "_AT_ONCE", 7 * 80)
    assert _drawn_rows([30, 50])[0] == whole


def test_pairs_without_separate_sources_and_no_pairs_are_refused(models):
    alignment, batches = pairs_of(*models, n=4)
    inside = [replace(batch, source=None, source_rows=torch.arange(4).roll(1)) for batch in batches]
    for given, said in ((inside, "needs pairs with separate sources"), ([], "was given no batches of pairs")):
        with pytest.raises(ValueError, match=said):
            state_distances(models[0], {"middle": alignment.pairs[0].teacher}, given, name="teacher")
