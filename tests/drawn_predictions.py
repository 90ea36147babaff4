"""Predictions drawn at random instead of made by models, for the observers of a verification.

Two students are compared at some sites with one teacher; which predictions are equal is chance, as is the number of
predictions of a pair where the head predicts tokens.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.verification.interventions.counterfactuals import Counterfactual, Intervened, ModelPass
from causalkd.verification.interventions.passes import Observer
from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.interventions.predictions import Predictions

Head = Literal["classes", "tokens", "number", "sets"]
HIDDEN = 8


def comparisons(sites: int) -> tuple[Comparison, ...]:
    """One for each of some sites, each with another layer and the next pair as baselines."""
    taught, own = ([Intervention((), f"{model}{site}") for site in range(sites)] for model in ("teacher", "student"))
    return tuple(
        Comparison(
            *(f"pair{site}", "block_output", "pos", None, site, site, "aligned", taught[site], own[site]),
            wrong_layer=own[site - 1] if sites > 1 else None,
            shuffled=own[(site + 1) % sites] if sites > 1 else None,
        )
        for site in range(sites)
    )


class Drawn:
    """The models and pairs.

    Args:
        head: What is predicted: a class a row, some classes a row, numbers, or sets of labels coded in many bits.
        sizes: The rows of each batch.
        seed: Of all draws; the predictions of a batch do not depend on the other batches.
        choices: The number of classes.
        effect: How probably an intervention changes a prediction.
    """

    def __init__(self, head: Head, sizes: Sequence[int], seed: int = 0, choices: int = 3, effect: float = 0.5) -> None:
        self.head, self.sizes, self._seed, self._choices, self._effect = head, sizes, seed, choices, effect

    def pass_over(
        self,
        teacher: Sequence[Observer],
        student: Sequence[Observer],
        untrained: Sequence[Observer],
        batches: Iterable[int],
    ) -> None:
        """What `run_passes` does, with drawn predictions."""
        for number in batches:
            for model, observers in (("teacher", teacher), ("student", student), ("untrained", untrained)):
                self._see(model, observers, number)
            for observer in (*teacher, *student, *untrained):
                observer.finish()

    def _see(self, model: str, observers: Sequence[Observer], number: int) -> None:
        passes, plain = self._passes(model, number)
        for observer in observers:
            observer.start(passes)
        for intervention in dict.fromkeys(each for observer in observers for each in observer.interventions):
            intervened = self._intervened(passes, plain, intervention, (model, number, intervention.positions))
            for observer in observers:
                if intervention in observer.interventions:
                    observer.update(intervened)

    def _passes(self, model: str, number: int) -> tuple[ModelPass, Predictions]:
        rows, random = self.sizes[number], self._random("rows", number)
        items = torch.randint(0, 5, (rows,), generator=random) if self.head == "tokens" else torch.ones(rows).long()
        items[0] = max(1, int(items[0]))
        ids = torch.arange(rows)[:, None] + 1000 * number
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        plain = self._predictions(torch.arange(rows).repeat_interleave(items), self._random(model, number))
        hidden = torch.randn(rows, 1, HIDDEN, generator=random)
        base = _bare(object, hidden=hidden)
        batch = Batch(inputs, source={**inputs, "input_ids": (ids + 1)})
        return _bare(ModelPass, batch=batch, plain=plain, base=base), plain

    def _intervened(
        self, passes: ModelPass, plain: Predictions, intervention: Intervention, key: tuple[object, ...]
    ) -> Intervened:
        random = self._random(*key)
        answer, permuted, repeated, elsewhere = (self._changed(plain, random) for _ in range(4))
        hidden = torch.randn(len(passes.batch.counted), 1, HIDDEN, generator=random)
        return _bare(
            Intervened,
            passes=passes,
            intervention=intervention,
            counterfactual=Counterfactual(answer, hidden, moved=True, differed=True),
            permuted=permuted,
            repeated=repeated,
            _elsewhere={0: elsewhere},
        )

    def _changed(self, plain: Predictions, random: torch.Generator) -> Predictions:
        """Other predictions for some items of those without an intervention."""
        other = self._predictions(plain.row, random)
        change = torch.rand(len(plain.row), generator=random) < self._effect
        choice = torch.where(change, other.choice, plain.choice)
        if self.head != "number":
            return Predictions(plain.row, choice, other.log_probabilities)
        return Predictions(plain.row, choice, choice[:, None])

    def _predictions(self, row: Tensor, random: torch.Generator) -> Predictions:
        logits = 3 * torch.randn(len(row), self._choices, generator=random)
        if self.head == "number":
            return Predictions(row, logits[:, 0], logits[:, :1])
        choice = logits.argmax(-1)
        return Predictions(row, choice * (2**40 + 5) if self.head == "sets" else choice, logits.log_softmax(-1))

    def _random(self, *key: object) -> torch.Generator:
        return torch.Generator().manual_seed(abs(hash((self._seed, *map(_number, key)))) % 2**60)


def _number(part: object) -> object:
    """Python salts the hashes of strings, so they are read as numbers."""
    return int.from_bytes(part.encode()) if isinstance(part, str) else part


def _bare(kind: type, **values: Any) -> Any:
    """An object with some attributes of its class, which no constructor has checked or completed."""

    class Bare(kind):
        def __init__(self) -> None:
            pass

    found = Bare()
    found.__dict__.update(values)
    return found
