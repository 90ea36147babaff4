"""Teaching modes as Markdown tables of a report: one line per student, seed and declared pair."""

from causalkd.reporting.numbers import number
from causalkd.verification.results.teaching import ModeAccuracy, TeachingResults

HEADS = (
    "student", "seed", "TKD", "DKD", "UNC · DKD", "TKD / forward KL", "pair",
    "easy: effective IIA", "n", "hard: effective IIA", "n",
)  # fmt: skip


def teaching_rows(results: TeachingResults) -> list[tuple[str, ...]]:
    """The heads, and a row for each student, seed and pair; terms are in nats per token."""
    rows: list[tuple[str, ...]] = [HEADS]
    for each in results.students:
        terms = (each.target, each.diversity, each.suppressed, each.target_share)
        for pair in dict.fromkeys(score.pair for score in each.accuracy):
            scores = {score.mode: score for score in each.accuracy if score.pair == pair}
            shown = (each.student, str(each.seed), *map(number, terms), pair)
            rows.append((*shown, *_cells(scores["easy"]), *_cells(scores["hard"])))
    return rows


def teaching_line(results: TeachingResults) -> str:
    """A line that describes the rows."""
    unc = results.tokens.uncertainty
    return (
        f"{len(unc)} labelled tokens of {len(results.texts)} training texts, mean uncertainty {unc.mean():.3f}; terms "
        "in nats per token; n counts effective tokens of held-out pairs."
    )


def _cells(score: ModeAccuracy) -> tuple[str, str]:
    return number(score.iia_effective), str(score.effective)
