"""The teaching modes of the tokens of a run's texts, and its students' accuracies by mode."""

from collections.abc import Sequence
from dataclasses import replace

from causalkd.alignment.resolve import resolve
from causalkd.processes.processes import ALONE, Processes
from causalkd.recipe.objectives import DKDPart, ObjectivesPart, ResponseKDPart
from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.prepare import build_batches, build_pairs
from causalkd.runs.trained_run import TrainedRun
from causalkd.runs.verify import rightly_answered
from causalkd.verification.measures.teaching_modes import accuracies_by_mode, modes_of_all
from causalkd.verification.results.teaching import StudentModes, TeachingResults, texts_of

_HALF = 0.5
_FORWARD_KL = ResponseKDPart(temperature=1.0, tokens="labelled")
_TKD = DKDPart(alpha=1.0, beta=0.0)


def teaching_of(
    run: TrainedRun,
    numbers: Sequence[int],
    processes: Processes = ALONE,
) -> TeachingResults:
    """The teaching modes of some training texts, and each student's interchange accuracy by mode on held-out pairs.

    Costs a forward of the teacher and of every student for each text; and for each pair a forward of each on base and
    on source, and the blocks after the declared sites.

    Args:
        run: A run of causal LMs.
        numbers: Numbers of training examples. Their labels are the data's own responses, even if the students were
            trained on sequences that a model had written.
        processes: The processes that share the texts and the pairs.
    """
    fraction = _hard_fraction(run.recipe)
    split = run.data.train
    chosen = replace(split, examples=[split.examples[number] for number in numbers])
    texts = build_batches(run.recipe, chosen, run.data.tokenizer)
    pairs = build_pairs(run.recipe, run.data, run.alignment, rightly_answered(run, processes))

    models = [student.model for student in run.students]
    modes = modes_of_all(run.teacher, models, texts, fraction, processes)
    subjects = [(model, resolve(run.alignment, run.teacher, model)) for model in models]
    accuracies = accuracies_by_mode(run.teacher, subjects, pairs, fraction, processes)
    students = tuple(
        StudentModes.of(student.part.name, student.seed, own, accuracy)
        for student, own, accuracy in zip(run.students, modes, accuracies, strict=True)
    )
    words = [run.data.tokenizer.convert_ids_to_tokens(list(example["input_ids"])) for example in chosen.examples]
    logged = tuple(part.name for part in run.recipe.students if _logs_both(part.objectives))
    return TeachingResults(fraction, texts_of(modes[0], words), students, logged)


def _hard_fraction(recipe: Recipe) -> float:
    """The share of hard tokens that students are trained with, if all that have one have the same; otherwise 0.5."""
    parts = [part.objectives.atkd for part in recipe.students]
    shares = {each.hard_fraction for each in parts if each is not None}
    return shares.pop() if len(shares) == 1 else _HALF


def _logs_both(objectives: ObjectivesPart) -> bool:
    """Whether forward KL and TKD are logged, at temperature 1 over labelled tokens, with any weights."""
    pairs = ((objectives.response_kd, _FORWARD_KL), (objectives.dkd, _TKD))
    return all(given is not None and given.model_copy(update={"weight": 1.0}) == wanted for given, wanted in pairs)
