"""Each intervention is run once for any number of observers, and its tensors are freed after it."""

import pickle
import weakref

import numpy as np
import pytest
import torch

from causalkd.processes.merged import merged
from causalkd.processes.processes import Processes
from causalkd.verification.interventions.passes import ObservedModel, Observer, run_passes
from causalkd.verification.interventions.plan import declared_interventions, layer_interventions, plan
from causalkd.verification.measures.counters import MatchCounter, MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.measures.off_distribution import OffDistribution
from causalkd.verification.results.baselines import BASELINES
from tests.executed import blocks_of
from tests.held_out import pairs_of, teacher_and_student


@pytest.fixture(scope="module")
def setting():
    teacher, student = teacher_and_student()
    return teacher, student, *pairs_of(teacher, student, n=17)


def _tables(setting, components):
    teacher, student, alignment, _ = setting
    baselines = tuple(name for name in BASELINES if name != "untrained_student")
    asked = [MeasurementPlan(plan(teacher, student, alignment, component), baselines) for component in components]
    truth = TeacherCounterfactuals(asked)
    return truth, [MatchCounter(truth, each, seed=0) for each in asked]


class _Watching(Observer):
    """Asks for every prediction of its interventions, and records which of them are still alive."""

    noted = None

    def __init__(self, interventions):
        self.interventions, self.living, self.source_readings, self._refs = set(interventions), [], [], []

    def start(self, passes):
        self.batch = passes.batch

    def update(self, intervene):
        self.living.append(sum(ref() is not None for ref in self._refs))
        self.source_readings.append(intervene.source_readings is intervene.passes.source_readings)
        answers = (intervene.counterfactual.predictions, intervene.permuted, intervene.moved_elsewhere(0))
        self._refs = [weakref.ref(each.log_probabilities) for each in answers]


def test_who_looks_on_costs_nothing(setting):
    teacher, student, alignment, batches = setting
    truth, tables = _tables(setting, ["block_output", None, "block_output"])
    taught, own = declared_interventions(alignment)["middle"]
    further = [OffDistribution({"middle": intervention}, name="m") for intervention in (taught, own)]
    watching = _Watching(layer_interventions(student, "block_output", "middle").values())
    with blocks_of(teacher) as of_teacher, blocks_of(student) as of_student:
        run_passes(
            [ObservedModel(teacher, truth, further[0]), ObservedModel(student, *tables, further[1], watching)],
            batches[:1],
        )
    # Base, source, the blocks after each; then of the declared pair all once more, for the ceiling.
    ceiling = [0, 1, 2, 0, 1, 2]
    assert sorted(of_teacher.forward) == sorted([0, 1, 2, 0, 1, 2, 1, 2, 2, *ceiling])
    # Base, source; then block 1 for the counterfactual, another row's source and a move elsewhere.
    assert of_student.forward == [0, 1, 0, 1, 1, 1, 1]


def test_tables_that_share_interventions_hold_what_each_would_alone(setting):
    teacher, student, _, batches = setting
    components = ["block_output", "mlp_output"]
    truth, tables = _tables(setting, components)
    run_passes([ObservedModel(teacher, truth), ObservedModel(student, *tables)], batches)
    for component, table in zip(components, tables, strict=True):
        alone, (own,) = _tables(setting, [component])
        run_passes([ObservedModel(teacher, alone), ObservedModel(student, own)], batches)
        assert table.measurement().rows("s", 0) == own.measurement().rows("s", 0)


def test_nothing_outlives_its_intervention_but_sources_before_a_single_row(setting):
    _, student, _, batches = setting
    assert [len(batch.counted) for batch in batches] == [16, 1]
    watching = _Watching(layer_interventions(student, "block_output", "middle").values())
    observed = ObservedModel(student, watching)
    run_passes([observed], [batches[0], *batches])
    assert watching.living == [0] * 6
    assert watching.source_readings == [True] * 4 + [False] * 2
    assert observed._earlier is None


class _OneOf(Processes):
    """A process that keeps what it noted, for the test to put together."""

    def together(self, mine):
        return mine


def test_shares_of_the_batches_note_what_one_process_notes_bit_for_bit(setting):
    teacher, student, alignment, _ = setting
    batches = pairs_of(teacher, student, n=17, batch_size=4)[1]
    assert [len(batch.counted) for batch in batches] == [4, 4, 4, 4, 1]
    shares = [_OneOf(3, rank) for rank in range(3)]
    alone, *others = (_noted(setting, alignment, batches, processes) for processes in (Processes(), *shares))
    found = merged(others)
    assert pickle.dumps(_plain(found)) == pickle.dumps(_plain(alone))


def _noted(setting, alignment, batches, processes):
    teacher, student = setting[:2]
    truth, (table,) = _tables(setting, ["block_output"])
    taught, own = declared_interventions(alignment)["middle"]
    distances = [OffDistribution({"middle": intervention}, name="m") for intervention in (taught, own)]
    observed = [ObservedModel(teacher, truth, distances[0]), ObservedModel(student, table, distances[1])]
    run_passes(observed, batches, processes)
    return tuple(observer.noted for observer in (truth, table, *distances))


def _plain(value):
    """Notes as lists of numbers, in their order."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return [_plain(each) for each in value.values()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set):
        return len(value)
    return _plain(vars(value)) if hasattr(value, "__dict__") else value
