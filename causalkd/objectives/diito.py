"""DIITO: the student's counterfactuals learn from the teacher's (Wu et al. 2022, arXiv 2112.02505)."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from causalkd.alignment.interchange import hook_points_needed
from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS, Tokens
from causalkd.errors import check_choice
from causalkd.losses.chunked import check_temperature
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Logits, Requirements, StepContext, TrainingSetup
from causalkd.objectives.compare_predictions import prediction_distance
from causalkd.objectives.counterfactual_terms import counterfactuals, crossed_batch, crossed_counterfactuals
from causalkd.objectives.hidden_kd import DISTANCES, Distance, require_equal_widths

Pairs = Literal["one", "all"]


class _Interchanges:
    """The counterfactuals that a step compares: one drawn site pair or all of them, perhaps in both directions."""

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
        check_choice("pairs", pairs, get_args(Pairs))
        twice = [pair.name for pair in alignment.pairs if len(set(pair.policy.source)) < len(pair.policy.source)]
        if crossway and twice:
            raise ValueError(
                f"the positions of {', '.join(twice)} name a token of the source twice, which crossway would give two "
                "values; name each once, or leave crossway out"
            )
        self.alignment, self._pairs, self._crossway, self._seed = alignment, pairs, crossway, seed
        self._kept = Requirements(
            tuple(hook_point for pair in alignment.pairs for hook_point in hook_points_needed(teacher, pair.teacher)),
            tuple(hook_point for pair in alignment.pairs for hook_point in hook_points_needed(student, pair.student)),
            logits,
            over_micro_batches=crossway,
        )

    def requirements(self) -> Requirements:
        """The hook points where base runs are kept and in-batch sources are read, and the logits that are compared."""
        return self._kept

    def _mean(
        self, run: StepContext, distance: Callable[[ForwardOutput, ForwardOutput, Batch], Tensor]
    ) -> Float[Tensor, ""]:
        """The distance of student's and teacher's counterfactuals, averaged over the pairs and both directions."""
        terms = []
        chosen = self._chosen(run.step)
        for pair in chosen:
            teacher, student, batch = counterfactuals(run, pair, chosen)
            terms.append(distance(student, teacher, batch) * self._share(run, crossed=False))
            if self._crossway:
                teacher, student, batch = crossed_counterfactuals(run, pair)
                terms.append(distance(student, teacher, batch) * self._share(run, crossed=True))
        return sum(terms[1:], start=terms[0]) / len(terms)

    def _share(self, run: StepContext, crossed: bool) -> Tensor | float:
        """The share of a micro-batch in a mean over the source's tokens, which differs from that over base's tokens."""
        if run.micro_batches is None or not self._crossway:
            return 1.0

        def count(batch: Batch) -> Tensor:
            return self._kept.amount(run.student.task, crossed_batch(batch) if crossed else batch)

        return run.micro_batches.share((self, crossed), count, run.batch, run.student_run.hidden.dtype)

    def _chosen(self, step: int) -> tuple[ResolvedPair, ...]:
        pairs = self.alignment.pairs
        if self._pairs == "all" or len(pairs) == 1:
            return pairs
        return (pairs[int(np.random.default_rng((self._seed, step)).integers(len(pairs)))],)


class DIITO(_Interchanges):
    """T² · KL(teacher's counterfactual || student's counterfactual), over what counts in base (L_CausalCE).

    Each model uses its own activations, so widths need not match. The student's gradient flows through its base
    run and its source. Models with different tokenizers are each intervened on at their own tokens of the same
    characters (see `carry_positions`); for tags, `tokens` must then be `labelled`, without `crossway`.

    Costs, for each site pair, each model's blocks after the site; with sources outside the batch also, once for all
    pairs, the blocks up to the last site. `crossway` doubles the blocks after the site; with sources outside the batch
    it adds a whole forward per pair and model.

    Args:
        alignment: The alignment, resolved against both models.
        teacher: The frozen model.
        student: The model being trained.
        temperature: T.
        tokens: For per-token heads, `all` real tokens or only the `labelled` ones, in either direction.
        pairs: `one` site pair drawn per step (by `seed` and the step) or `all`, averaged.
        crossway: Whether to intervene also with base and source reversed; the term is then the mean of both.
        seed: Seed of the draw.

    Raises:
        ValueError: The temperature is not a positive number, or a setting is unknown.
    """

    def __init__(
        self,
        alignment: ResolvedAlignment,
        teacher: HookedModel,
        student: HookedModel,
        *,
        temperature: float = 2.0,
        tokens: Tokens = "all",
        pairs: Pairs = "one",
        crossway: bool = False,
        seed: int = 0,
    ) -> None:
        check_choice("tokens", tokens, get_args(Tokens))
        super().__init__(alignment, teacher, student, pairs, crossway, seed, tokens)
        self._kept = self._kept._replace(refusal=self._refusal, two_tokenizers=True)
        check_temperature(temperature)
        self.temperature = temperature
        self.tokens: Tokens = tokens
        self._crossed_tokens = crossway and student.task in TOKEN_TASKS

    def _refusal(self, setup: TrainingSetup) -> str | None:
        if not (setup.two_tokenizers and self._crossed_tokens):
            return None
        return (
            "diito's crossway predicts at the tokens of sources, which may have no labels, and without labels tokens "
            "of different tokenizers do not correspond; leave crossway out"
        )

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        settings = (self.temperature, self.tokens)
        return self._mean(run, lambda s, t, batch: prediction_distance(run.student.task, s, t, batch, *settings))


class DIITOHidden(_Interchanges):
    """The distance of the counterfactual last hidden states over base's real tokens (L_CausalCos).

    Costs nothing in addition to DIITO with the same alignment and draw.

    Args:
        alignment: The alignment, resolved against both models.
        teacher: The frozen model.
        student: The model being trained.
        distance: `cosine` or `squared`.
        pairs: As for DIITO.
        crossway: As for DIITO.
        seed: As for DIITO; the same seed draws the same site pairs.

    Raises:
        ValueError: The widths differ, or a setting is unknown.
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
        check_choice("distance", distance, list(DISTANCES))
        super().__init__(alignment, teacher, student, pairs, crossway, seed, "none")
        self._distance = DISTANCES[distance]

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        return self._mean(run, lambda s, t, batch: self._distance(s.hidden, t.hidden, batch.counted))
