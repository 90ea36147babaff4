"""Exactly which blocks run in each pass, forward and backward, on every architecture; nothing is timed."""

import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.verification.measures.iia import measure
from tests.alignment.interventions import BASE, SOURCE, every_position, hooked, site
from tests.executed import blocks_of
from tests.held_out import pairs_of, teacher_and_student
from tests.objectives.steps import aligned, batch_of, models, step_of
from tests.tiny import ARCHITECTURES, ENCODERS

WHOLE = [0, 1, 2]
FIRST_TOKEN = Positions(torch.zeros(8, 1).long(), torch.zeros(8, 1).long(), torch.ones(8, 1).bool())
# component of block 1, or the embedding → the blocks that a read enters, and those that the counterfactual does
PASSES = {
    "token_embedding": ([], [0, 1, 2]),
    "block_input": ([0, 1], [1, 2]),
    "attention_value_output": ([0, 1], [1, 2]),
    "head_attention_value_output": ([0, 1], [1, 2]),
    "attention_output": ([0, 1], [1, 2]),
    "mlp_output": ([0, 1], [1, 2]),
    "block_output": ([0, 1], [2]),
}


@pytest.mark.parametrize("component", PASSES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_prefix_and_suffix(architecture: str, component: str) -> None:
    model = hooked(architecture)
    sites, (prefix, suffix) = [site(model, component)], PASSES[component]
    with blocks_of(model) as executed:
        run = model.run(BASE, hook_points_needed(model, sites))
        assert executed.forward == WHOLE
        executed.forget()
        model.read(SOURCE, [sites[0].hook_point])
        assert executed.forward == prefix
        executed.forget()
        after = interchange(model, sites, run, run.source_activations(), every_position(BASE))
        assert executed.forward == suffix
        executed.forget()
        after.logits.square().sum().backward()
        assert executed.backward == [*reversed(suffix), *reversed([n for n in WHOLE if n not in suffix])]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_base_and_source_given_as_inputs(architecture: str) -> None:
    model = hooked(architecture)
    with blocks_of(model) as executed:
        interchange(model, [site(model, layer=0)], BASE, {**BASE}, every_position(BASE))
        assert executed.forward == [*WHOLE, 0, 1, 2]
        executed.forget()
        interchange(model, [site(model, layer=2)], BASE, {**BASE}, every_position(BASE))
        assert executed.forward == [*WHOLE, *WHOLE]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_training_step(architecture: str, inside: bool) -> None:
    """Teacher block 1 of 3 and student block 0 of 2: the suffixes are one block each, the prefixes two and one."""
    task = "masked_lm" if architecture in ENCODERS else "causal_lm"
    teacher, student = models(task, architecture, architecture)
    objective = DIITO(aligned(teacher, student), teacher, student)
    with blocks_of(teacher) as of_teacher, blocks_of(student) as of_student:
        objective(step_of(objective, teacher, student, batch_of(task, inside))).backward()
    assert of_teacher.forward == ([*WHOLE, 2] if inside else [*WHOLE, 0, 1, 2])
    assert of_student.forward == ([0, 1, 1] if inside else [0, 1, 0, 1])
    assert of_teacher.backward == []
    # The counterfactual's block, then block 0 once for base and, as another run, once for a separate source.
    assert sorted(of_student.backward) == ([0, 1] if inside else [0, 0, 1])


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_directions(architecture: str, inside: bool) -> None:
    """The rows of the batch have been run, in base and in source."""
    task = "masked_lm" if architecture in ENCODERS else "causal_lm"
    teacher, student = models(task, architecture, architecture)
    objective = DIITO(aligned(teacher, student), teacher, student, crossway=True)
    with blocks_of(teacher) as of_teacher, blocks_of(student) as of_student:
        objective(step_of(objective, teacher, student, batch_of(task, inside)))
    assert of_teacher.forward == ([*WHOLE, 2, 2] if inside else [*WHOLE, 0, 1, 2, *WHOLE, 2])
    assert of_student.forward == ([0, 1, 1, 1] if inside else [0, 1, 0, 1, 0, 1, 1])


@pytest.mark.parametrize("inside", [True, False])
def test_all_pairs_of_a_step(inside: bool) -> None:
    """Sources are read once, as far as the last pair wants; hidden states add nothing to predictions."""
    teacher, student = models()
    resolved = aligned(teacher, student, ("second", 0, 0))
    objectives = [kind(resolved, teacher, student, pairs="all") for kind in (DIITO, DIITOHidden)]
    run = step_of(objectives[0], teacher, student, batch_of("masked_lm", inside, ("first", "second")))
    with blocks_of(teacher) as of_teacher, blocks_of(student) as of_student:
        for objective in objectives:
            objective(run)
    assert of_teacher.forward == [*([] if inside else [0, 1]), 2, 1, 2]
    assert of_student.forward == [*([] if inside else [0]), 1, 1]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sweep_runs_each_hook_point_of_each_model_once(architecture: str, inside: bool) -> None:
    teacher, student = teacher_and_student(architecture)
    alignment, (batch,) = pairs_of(teacher, student, n=8)
    if inside:
        rows = torch.arange(len(batch.counted)).roll(1)
        batch = Batch(batch.inputs, batch.labels, source_rows=rows, positions={"middle": FIRST_TOKEN})
    with blocks_of(teacher) as of_teacher, blocks_of(student) as of_student:
        measure(teacher, student, alignment, [batch], baselines=())
    sources = ([], []) if inside else ([0, 1, 2], [0, 1])
    assert of_teacher.forward == [0, 1, 2, *sources[0], 1, 2, 2]
    assert of_student.forward == [0, 1, *sources[1], 1]
