"""The results of a fine-tuning as a table of text: a row per seed, and the mean over seeds."""

from causalkd.reporting.numbers import number
from causalkd.reporting.tables import columns
from causalkd.verification.results.finetuning import FinetuneResults


def finetuning_lines(found: FinetuneResults) -> list[str]:
    """A line about the measured rows, and the table."""
    split = found.split
    lost = "".join(
        f", {split[key]} {what}"
        for key, what in (
            ("truncated", "cut to length"),
            ("lost", "labels without a token"),
            ("left_out", "left out"),
            ("empty", "with an empty text"),
        )
        if split.get(key)
    )
    heads = ("seed", *found.metrics, "steps", "seconds")
    rows = [
        (
            str(each.seed),
            *(number(each.metrics[name]) for name in found.metrics),
            str(each.steps if each.best_step is None else f"{each.best_step} of {each.steps}"),
            "–" if each.seconds is None else f"{each.seconds:.0f}",
        )
        for each in found.scores
    ]
    if len(found.scores) > 1:
        rows.append(("mean", *(number(found.mean(name)) for name in found.metrics), "", ""))
        rows.append(("sd", *(number(found.spread(name)) for name in found.metrics), "", ""))
    note = ["Checkpoints were chosen on the same rows, so these scores are somewhat too high."] * found.is_chosen
    scored = f"{split['examples']} examples"
    if found.questions is not None:
        scored = f"{found.questions} questions in {split['examples']} windows"
    return [
        f"{found.model} on {found.task}: {scored} of {split['origin']}{lost}",
        *columns([heads, *rows]),
        *note,
    ]
