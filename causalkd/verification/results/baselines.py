"""The table of baselines: what an interchange accuracy would be for a reason that is not alignment.

One entry declares a baseline. The measurement, the report's schema, the tables, the figures and the glossary of the
page are made from this table; `register_baseline` adds an entry from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from causalkd.errors import nearest

MEASURED = "measured"
"""The value of `baseline` on the rows that hold the measurement itself."""


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes:
        key: The baseline's name in reports.
        title: The short name, in columns, legends and sentences.
        description: What it is, as the end of a sentence that starts with the title.
        explains: Whether it explains an accuracy without an alignment; the measurement must exceed the best of these.
        doing: A phrase for sentences of a report, such as "always guessing …"; None for the title.
        predict: Computes its predictions from an intervened pass of the student
            (`interventions.counterfactuals.Intervened`) and a seed; None if the measurement plans it in another way.
        marker: The marker in a figure.
    """

    key: str
    title: str
    description: str
    explains: bool = False
    doing: str | None = None
    predict: Callable[[Any, int], Any] | None = None
    marker: str = "o"


BASELINES: dict[str, Baseline] = {
    entry.key: entry
    for entry in (
        Baseline(
            "no_intervention",
            "no intervention",
            "the student's prediction on the base input, which shows how much agreement needs no intervention",
            explains=True,
            doing="not intervening at all",
            predict=lambda found, seed: found.plain,
            marker="|",
        ),
        Baseline(
            "permuted_source",
            "permuted source",
            "the student receives the source of another row and the teacher the right one",
            explains=True,
            doing="intervening with the source of another row",
            predict=lambda found, seed: found.permuted,
            marker="x",
        ),
        Baseline(
            "majority_class",
            "majority class",
            "the constant guess that is right most often",
            explains=True,
            doing="always guessing the commonest prediction",
            marker="D",
        ),
        Baseline(
            "untrained_student",
            "untrained student",
            "an untrained student of the same configuration; at a site with a `basis` it uses the directions of the "
            "trained student, and only `causalkd search --rank` lets it learn its own",
            explains=True,
            doing="an untrained student",
            marker="s",
        ),
        Baseline(
            "norm_matched_random",
            "random direction",
            "the student's activations move as far as in the intervention, but in a random direction",
            explains=True,
            doing="moving the activations as far in a random direction",
            predict=lambda found, seed: found.moved_elsewhere(seed),
            marker="2",
        ),
        Baseline(
            "wrong_layer",
            "other layer",
            "the student's intervention half of its depth away from the site; an accuracy that it reaches too does not "
            "depend on the site",
        ),
        Baseline(
            "shuffled_alignment",
            "other pair",
            "the student's intervention at the site of the next declared pair, if there are several",
        ),
        Baseline(
            "ceiling",
            "ceiling",
            "the teacher instead of the student, run again from its inputs, which shows how high an accuracy can be",
        ),
    )
}
"""Every baseline by its key, in the order of reports."""


def explaining() -> tuple[str, ...]:
    """The keys of the baselines that would explain an accuracy without an alignment."""
    return tuple(key for key, entry in BASELINES.items() if entry.explains)


def register_baseline(entry: Baseline) -> None:
    """Add a baseline to the table, so that it is measured and shown like the others.

    Raises:
        ValueError: The key exists already, or the entry has no `predict`.
    """
    if entry.key in BASELINES or entry.key == MEASURED:
        raise ValueError(f"there is a baseline {entry.key!r} already; choose another key")
    if entry.predict is None:
        raise ValueError(f"baseline {entry.key!r} has no `predict`, so it cannot be measured; give a function")
    BASELINES[entry.key] = entry


def _known(key: str) -> str:
    if key != MEASURED and key not in BASELINES:
        raise ValueError(f"{key!r} is not a baseline; {nearest(key, [MEASURED, *BASELINES])}")
    return key


BaselineName = Annotated[str, AfterValidator(_known)]
"""`measured`, or the key of a baseline."""
