"""The search, in a finished run, for the teacher layer that corresponds to each layer of a student."""

from dataclasses import replace
from pathlib import Path

from causalkd.errors import nearest
from causalkd.runs.folder.layout import write_whole
from causalkd.runs.folder.lock import working_alone
from causalkd.runs.setup.prepare import build_pairs
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.trained_run import Trained, TrainedRun
from causalkd.runs.verify import rightly_answered
from causalkd.verification.search.search import Search, search
from causalkd.verification.search.subspace_search import check_rank, learn_subspaces


@working_alone
@no_bars_in_logs()
def search_run(
    path: str | Path,
    *,
    student: str | None = None,
    seed: int | None = None,
    component: str = "block_output",
    rank: int | None = None,
) -> Search:
    """Propose corresponding layers on pairs of training examples, and test them on the run's held-out pairs.

    Supported pairs are written to `found_alignment.yaml` in the run's folder, which a recipe can name.

    Args:
        path: The run folder.
        student: The student to search; by default the recipe's first.
        seed: The student's seed; by default the recipe's first.
        component: The component that is intervened on in every layer.
        rank: Dimension of a subspace of each student layer, learned on the training examples; None to take the
            whole layer.

    Raises:
        ValueError: There is no finished run, student or seed of this name, there are too few pairs of training
        examples,
            or a rank is given for models in which no subspace can be learned.
    """
    run = TrainedRun.load(path)
    chosen = _chosen(run, student, seed)
    if rank is not None:
        check_rank(chosen.model, component, rank)
    first = run.alignment.pairs[0]
    alignment = run.alignment.model_copy(update={"pairs": (first,)})
    rows = (replace(run, data=replace(run.data, heldout=run.data.train)), run)
    pairs, heldout = (build_pairs(run.recipe, each.data, alignment, rightly_answered(each)) for each in rows)
    policy = run.alignment.policy(first)
    found = search(
        run.teacher,
        chosen.model,
        policy,
        pairs,
        heldout,
        component=component,
        seed=chosen.seed,
        tolerance=run.recipe.verification.tolerance,
    )
    if rank is not None:
        found = learn_subspaces(run.teacher, chosen.model, found, pairs, heldout, rank=rank, seed=chosen.seed)
    if any(proposal.supported for proposal in found.proposals):
        write_whole(run.folder.found, found.alignment().to_yaml())
    else:
        run.folder.found.unlink(missing_ok=True)  # that of an earlier search, which stays until this one has ended
    return found


def _chosen(run: TrainedRun, student: str | None, seed: int | None) -> Trained:
    names = list(dict.fromkeys(each.part.name for each in run.students))
    if student is not None and student not in names:
        raise ValueError(f"student {student!r} is not in this run; {nearest(student, names)}")
    if seed is not None and seed not in run.recipe.seeds:
        raise ValueError(f"seed {seed} is not in this run; its seeds are {list(run.recipe.seeds)}")
    wanted = (names[0] if student is None else student, run.recipe.seeds[0] if seed is None else seed)
    return next(each for each in run.students if (each.part.name, each.seed) == wanted)
