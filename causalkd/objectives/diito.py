"""DIITO: the student's counterfactuals follow the teacher's (Wu et al. 2022, arXiv 2112.02505)."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from causalkd.alignment.interchange import places_needed
from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.data.counted import Tokens
from causalkd.losses.divergence import forward_kl
from causalkd.models.hooked import HookedModel
from causalkd.objectives.base_run import BaseRun, Kept, Logits
from causalkd.objectives.counterfactuals import Counterfactuals, counterfactuals, crossed_counterfactuals
from causalkd.objectives.gold import gold_of
from causalkd.objectives.hidden_kd import DISTANCES, Distance, require_equal_widths
from causalkd.objectives.predictions import Divergence, prediction_distance

Pairs = Literal["one", "all"]
Weighting = Literal["equal", "uncertainty"]


class _Interchanges:
    """Which counterfactuals a step compares: one drawn site pair or all of them, perhaps in both directions."""

    def __init__(
        self,
        alignment: ResolvedAlignment,
        teacher: HookedModel,
        student: HookedModel,
        pairs: Pairs,
        crossway: bool,
        seed: int,
        logits: Logits,
    ) -> None:
        self.alignment, self._pairs, self._crossway, self._seed = alignment, pairs, crossway, seed
        self._kept = Kept(
            tuple(place for pair in alignment.pairs for place in places_needed(teacher, pair.teacher)),
            tuple(place for pair in alignment.pairs for place in places_needed(student, pair.student)),
            logits,
        )

    def places(self) -> Kept:
        """Where the base runs' prefixes end and in-batch sources are read; and the logits that are compared."""
        return self._kept

    def _of(self, run: BaseRun) -> Iterator[Counterfactuals]:
        for pair in self._chosen(run.step):
            yield counterfactuals(run, pair)
            if self._crossway:
                yield crossed_counterfactuals(run, pair)

    def _chosen(self, step: int) -> tuple[ResolvedPair, ...]:
        pairs = self.alignment.pairs
        if self._pairs == "all" or len(pairs) == 1:
            return pairs
        return (pairs[int(np.random.default_rng((self._seed, step)).integers(len(pairs)))],)


class DIITO(_Interchanges):
    """T² · KL(teacher's counterfactual || student's counterfactual), over what counts in base (L_CausalCE).

    Each model exchanges its own activations, so widths need not match. The student's gradient flows through its base
    run and its source.

    Costs, per site pair, each model's blocks after the site; with sources outside the batch also the blocks up to it;
    `crossway` doubles that and, per model, adds a whole forward.

    Args:
        alignment: Where the models correspond, resolved against both.
        teacher: The frozen model.
        student: The model being trained.
        temperature: T.
        tokens: For per-token heads, `all` real tokens or only the `labelled` ones.
        weighting: `equal`, or `uncertainty`: each label's KL times the probability that the teacher puts off the label
            on base, the factor that forward KL has on its diversity-oriented term. Of no paper.
        pairs: `one` site pair drawn per step (by `seed` and the step) or `all`, averaged.
        crossway: Also exchange base and source, averaged.
        seed: Seed of the draw.

    Raises:
        ValueError: `uncertainty` is asked for where there is no label of base.
    """

    def __init__(
        self,
        alignment: ResolvedAlignment,
        teacher: HookedModel,
        student: HookedModel,
        *,
        temperature: float = 2.0,
        tokens: Tokens = "all",
        weighting: Weighting = "equal",
        pairs: Pairs = "one",
        crossway: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(alignment, teacher, student, pairs, crossway, seed, tokens)
        if weighting == "uncertainty" and (tokens != "labelled" or crossway):
            raise ValueError(
                f"the teacher's uncertainty is about labels of base, and tokens={tokens!r}, crossway={crossway} look "
                "elsewhere too; set tokens='labelled' and crossway=False"
            )
        self.temperature = temperature
        self.tokens: Tokens = tokens
        self._weighting = weighting

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The term of one step."""
        divergence: Divergence = forward_kl
        if self._weighting == "uncertainty":
            odds = gold_of(run, "diito, by uncertainty").uncertainty_odds(temperature=1.0)
            divergence = partial(forward_kl, weights=odds.sigmoid())
        return _mean(
            prediction_distance(run.student.task, s, t, batch, self.temperature, self.tokens, divergence)
            for t, s, batch in self._of(run)
        )


class DIITOHidden(_Interchanges):
    """Distance of the counterfactual last hidden states over base's real tokens (L_CausalCos).

    Costs nothing beyond what DIITO with the same alignment and draw has run already.

    Args:
        alignment: Where the models correspond, resolved against both.
        teacher: The frozen model.
        student: The model being trained.
        distance: `cosine` or `squared`.
        pairs: As for DIITO.
        crossway: As for DIITO.
        seed: As for DIITO; the same seed draws the same site pairs.

    Raises:
        ValueError: The widths differ.
    """

    def __init__(
        self,
        alignment: ResolvedAlignment,
        teacher: HookedModel,
        student: HookedModel,
        *,
        distance: Distance = "cosine",
        pairs: Pairs = "one",
        crossway: bool = False,
        seed: int = 0,
    ) -> None:
        require_equal_widths("diito_hidden", teacher, student, "leave this objective out: `diito` compares predictions")
        super().__init__(alignment, teacher, student, pairs, crossway, seed, "none")
        self._distance = DISTANCES[distance]

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The term of one step."""
        return _mean(self._distance(s.hidden, t.hidden, batch.counted) for t, s, batch in self._of(run))


def _mean(terms: Iterator[Float[Tensor, ""]]) -> Float[Tensor, ""]:
    values = list(terms)
    return sum(values[1:], start=values[0]) / len(values)
