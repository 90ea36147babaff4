from dataclasses import replace

import pytest
import torch

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import evaluation_pairs, pair_batches
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.models.students import untrained_copy
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.mismatches import mismatches
from tests.held_out import pairs_of, teacher_and_student
from tests.shrunk import planted_model

ALIGNMENT = Alignment.from_yaml(
    "{name: a, positions: {policy: segments, segments: [premise]}, "
    "pairs: [{name: first, teacher: [{layer: 0}], student: [{layer: 0}]}]}"
)


@pytest.fixture(scope="module")
def setting():
    teacher, student = planted_model(initializer_range=0.6), planted_model(initializer_range=0.6)
    student = untrained_copy(student, 3)
    rows = PlantedNLI().examples("heldout", 60, 0)
    batches = pair_batches(rows, evaluation_pairs(rows, 120, 0), ALIGNMENT.policies(), 50, 0)
    return teacher, student, resolve(ALIGNMENT, teacher, student), batches, rows


def test_the_pairs_of_largest_divergence_on_which_the_student_stays(setting):
    teacher, student, alignment, batches, rows = setting
    found = mismatches(teacher, student, alignment, batches, name="s", seed=2, most=1000)
    score = measure(teacher, student, alignment, batches, baselines=("no_intervention",)).score(0, 0)
    wrong = (score.effective_counts > 0) & (score.effective_matches == 0)
    assert 0 < len(found) <= wrong.sum()
    gaps = [each.kl for each in found]
    assert gaps == sorted(gaps, reverse=True)
    assert mismatches(teacher, student, alignment, batches, name="s", seed=2, most=3) == found[:3]
    texts = {" ".join(row["text"]) for row in rows}
    for each in found:
        assert (each.name, each.seed, each.pair) == ("s", 2, "first")
        assert each.teacher != each.teacher_counterfactual != each.student_counterfactual == each.student
        assert each.teacher_probability > 1 / 3 and each.student_probability < 1 / 2
        assert {each.base, each.source} <= texts
        words = [text.split()[:4] for text in (each.base, each.source)]
        assert each.intervened == tuple(zip(*words, strict=True))


def test_a_copy_departs_nowhere(setting):
    teacher, _, _, batches, _ = setting
    copy = planted_model(initializer_range=0.6)
    copy.model.load_state_dict(teacher.model.state_dict())
    with torch.no_grad():
        assert mismatches(teacher, copy, resolve(ALIGNMENT, teacher, copy), batches, name="s", seed=0) == ()


@pytest.mark.parametrize(("task", "said"), [("classification", "has no tokenizer"), ("regression", "does regression")])
def test_a_teacher_whose_predictions_cannot_be_shown_is_refused(task, said):
    teacher, student = teacher_and_student("bert", task)
    teacher.tokenizer = None if task == "classification" else object()
    alignment, batches = pairs_of(teacher, student, n=4)
    with pytest.raises(ValueError, match=f"mismatches are those of a classifier with a tokenizer; this teacher {said}"):
        mismatches(teacher, student, alignment, batches, name="s", seed=0)


def test_mismatches_among_pairs_without_separate_sources_are_refused(setting):
    teacher, student, alignment, batches, _ = setting
    inside = [replace(batch, source=None, source_rows=torch.arange(len(batch.counted)).roll(1)) for batch in batches]
    with pytest.raises(ValueError, match="a list of mismatches needs pairs with separate sources"):
        mismatches(teacher, student, alignment, inside, name="s", seed=2)
