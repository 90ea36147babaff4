"""The search for corresponding layers, which are proposed on some pairs and tested on others.

Every layer is compared with every layer, which costs a counterfactual per layer, not per pair of layers. For each
student layer the teacher layer with the highest effective accuracy is proposed, and among equals that of least
divergence. Held-out pairs then decide whether the proposal exceeds its baselines. Only whole hook points and orthogonal
subspaces of them are compared: with maps that are flexible enough any two models correspond (Sutter et al. 2025, "The
non-linear representation dilemma").
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from causalkd.alignment.basis import Basis
from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.batch import Batch, check_one_reading
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.hooks.hook_points import by_layer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.heads import BY_HEAD
from causalkd.verification.interventions.pair_rows import check_given
from causalkd.verification.interventions.plan import check_component
from causalkd.verification.interventions.predictions import TOLERANCE
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.scores import Measurement, Score
from causalkd.verification.results.baselines import BASELINES, explaining
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.search.cka import linear_cka
from causalkd.verification.search.das import Subspace
from causalkd.verification.statistics.evidence import is_above

_SAME_KL = 1e-4
"""Teacher layers whose divergences differ by less than this, in nats, count as equal: the block between them changes
nothing."""


@dataclass(frozen=True)
class Proposal:
    """The teacher layer found for one student layer.

    Attributes:
        student_layer: The student layer.
        teacher_layer: The teacher layer proposed on the search pairs.
        alike: All teacher layers that score as well there, including the proposed one.
        similarity: Linear CKA of the two layers.
        found: The effective accuracy on the search pairs.
        heldout: The measurement on the held-out pairs.
        baselines: The baselines on the same pairs.
        subspace: The subspace of the student layer that was used on the held-out pairs; None for the whole layer.
    """

    student_layer: int
    teacher_layer: int
    alike: tuple[int, ...]
    similarity: float
    found: float
    heldout: InterchangeRow
    baselines: tuple[InterchangeRow, ...]
    subspace: Subspace | None = None

    @property
    def supported(self) -> bool:
        """Whether it exceeds its baselines on the held-out pairs."""
        return is_above(self.heldout, self.baselines)

    def pair(self, component: str) -> SitePair:
        """The teacher layer and the student layer, or its subspace, as an entry of an alignment."""
        basis = None if self.subspace is None else Basis.of(self.subspace.basis.cpu().numpy())
        teacher = Site(layer=self.teacher_layer, component=component)
        student = Site(layer=self.student_layer, component=component, basis=basis)
        return SitePair(name=f"layer_{self.student_layer}", teacher=(teacher,), student=(student,))


@dataclass(frozen=True, eq=False)
class Search:
    """The result of a search.

    Attributes:
        proposals: One for each student layer that reaches the output, ascending.
        component: The component that was intervened on in every layer.
        policy: The policy of the positions.
        similarity: Linear CKA of all layers; NaN where one lacks the component.
    """

    proposals: tuple[Proposal, ...]
    component: str
    policy: PositionPolicy
    similarity: Float[Tensor, "teacher_layer student_layer"]

    def alignment(self, name: str = "found") -> Alignment:
        """The supported proposals as an alignment.

        Raises:
            ValueError: The held-out pairs support no proposal.
        """
        pairs = tuple(proposal.pair(self.component) for proposal in self.proposals if proposal.supported)
        if not pairs:
            raise ValueError(
                f"none of {len(self.proposals)} proposals exceeds its baselines on the held-out pairs, so there is no "
                "alignment to write; train the student longer, or search at other positions or components"
            )
        return Alignment(name=name, positions=self.policy, pairs=pairs)


def search(
    teacher: HookedModel,
    student: HookedModel,
    policy: PositionPolicy,
    pairs: Sequence[Batch],
    heldout: Sequence[Batch],
    *,
    component: str = "block_output",
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Search:
    """Find the teacher layer that corresponds to each student layer.

    Costs, on the search pairs, a base and a source run and a counterfactual per layer of both models; on the held-out
    pairs the same as `measure` with all baselines.

    Args:
        teacher: The model whose layers are proposed.
        student: The model for whose layers they are proposed.
        policy: The policy by which the positions of all pairs were drawn.
        pairs: The pairs on which layers are proposed.
        heldout: Other pairs, on which the proposals are tested.
        component: The whole component that is intervened on.
        seed: The seed of the untrained student.
        tolerance: For regression: the largest difference of two numbers that count as the same prediction.

    Raises:
        ValueError: There are no batches, or they have no positions, or positions of several policies, or the models
            have different tokenizers, or one has no such whole component.
    """
    for given in (pairs, heldout):
        check_given(given, "a search")
    check_one_reading(pairs[0], "a search")
    names = {name for batch in (*pairs, *heldout) for name in batch.positions}
    if len(names) != 1:
        raise ValueError(f"a search uses the positions of one policy; the batches have those of {sorted(names)}")
    taught, own = (_first_site(model, component) for model in (teacher, student))
    declared = Alignment(
        name="search", positions=policy, pairs=(SitePair(name=names.pop(), teacher=(taught,), student=(own,)),)
    )
    resolved = resolve(declared, teacher, student)
    options = {"component": component, "tolerance": tolerance}
    proposed = measure(teacher, student, resolved, pairs, baselines=(), **options)
    baselines = [name for name in BASELINES if name != "ceiling"]
    tested = measure(teacher, student, resolved, heldout, baselines=baselines, seed=seed, **options)
    similarity = linear_cka(teacher, student, pairs, component)
    found = tuple(
        _proposal(scores, tested, similarity, seed)
        for layer in range(student.n_layers)
        if (
            scores := [
                s for s in proposed.scores if s.comparison.student_layer == layer and s.reachable and s.effective_pairs
            ]
        )
    )
    return Search(found, component, policy, similarity)


def _first_site(model: HookedModel, component: str) -> Site:
    """The component in the first layer that has it."""
    check_component(model, component)
    if component == BY_HEAD:
        raise ValueError(f"a search compares whole components, and {BY_HEAD} has heads; use attention_value_output")
    return Site(layer=min(by_layer(component, model.hook_points())), component=component)


def _proposal(scores: Sequence[Score], tested: Measurement, similarity: Tensor, seed: int) -> Proposal:
    best = max(scores, key=_merit)
    alike = [s.comparison.teacher_layer for s in scores if s.iia_effective == best.iia_effective and _near(s, best)]
    comparison, accuracy = best.comparison, best.iia_effective
    assert accuracy is not None
    at_comparison = [
        row
        for row in tested.rows("student", seed)
        if (row.teacher_layer, row.student_layer) == (comparison.teacher_layer, comparison.student_layer)
    ]
    (heldout,) = (row for row in at_comparison if row.baseline == "measured")
    explanations = tuple(row for row in at_comparison if row.baseline in explaining())
    alikeness = float(similarity[comparison.teacher_layer, comparison.student_layer])
    return Proposal(
        comparison.student_layer,
        comparison.teacher_layer,
        tuple(sorted(alike)),
        alikeness,
        accuracy,
        heldout,
        explanations,
    )


def _merit(score: Score) -> tuple[float, float]:
    return (score.iia_effective or 0.0, -(score.kl or 0.0))


def _near(score: Score, best: Score) -> bool:
    return abs((score.kl or 0.0) - (best.kl or 0.0)) < _SAME_KL
