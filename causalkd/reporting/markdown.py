"""A report as Markdown, for pull requests and for readers without a browser."""

from collections.abc import Sequence

from causalkd.reporting import attribution_tables as attribution_table
from causalkd.reporting.explanation import explanation, not_concluded
from causalkd.reporting.markdown_text import code_block, plain
from causalkd.reporting.standing import site_count
from causalkd.reporting.student_comparison import reference_sentences
from causalkd.reporting.tables import (
    DIFFERENCES,
    MEANING,
    chosen_checkpoints,
    differences_between,
    held_out,
    learning_maps,
    left_out,
    no_numbers,
    site_means,
    tables,
    teacher_line,
    touched,
    unreachable,
)
from causalkd.reporting.teaching_tables import teaching_line, teaching_rows
from causalkd.reporting.verdict import student_sentences, verdict
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.teaching import TeachingResults


def as_markdown(report: VerificationReport) -> str:
    """The report as one Markdown text: the sentences, the tables, the caveats, and how it was made."""
    first, *rest = verdict(report)
    title = f"# Verification: {plain(report.alignment.name)}"
    sentences = [*rest, *student_sentences(report)]
    parts = [
        title,
        f"**{plain(first)}**",
        bullets(sentences),
        plain(teacher_line(report)),
        bullets([*explanation(report), *(f"You may not conclude {each}." for each in not_concluded(report))]),
    ]
    for table in tables(report):
        parts += [f"## {plain(table.title)}", pipes(table.rows)]
    notes = (chosen_checkpoints, unreachable, touched, site_means, left_out, no_numbers)
    parts += [plain(line) for note in notes for line in note(report)]
    compared = differences_between(report)
    if compared:
        parts += [f"## {DIFFERENCES}", bullets([*reference_sentences(report), *compared])]
    if report.attribution is not None:
        parts += ["## Which tokens the predictions depend on", attribution_table.as_markdown(report).rstrip()]
        if report.attribution.map_distances:
            parts += ["### Maps as AD-KD trains them", pipes(attribution_table.distance_rows(report.attribution))]
        if report.attribution.teaching is not None:
            parts += ["## The teaching mode of each token", *_teaching(report.attribution.teaching)]
    parts += ["## How to read it", MEANING, bullets(caveats(report)), "## How it was made", *_making(report)]
    return "\n\n".join(parts) + "\n"


def caveats(report: VerificationReport) -> list[str]:
    """Limits of what the numbers show."""
    evidence = "the other sites and unseen pairs" if site_count(report, "other") else "unseen pairs"
    touched_sites = (
        "A touched site shares a part with a declared pair in both models without being it, such as one layer of "
        "several, or the same layers at other positions. It is neither aligned nor independent evidence, so it is in "
        "no mean."
    )
    return [
        "A student that was trained with interventions was trained at the aligned sites, so a high accuracy is "
        f"expected there; {evidence} are the evidence.",
        *([touched_sites] if site_count(report, "touched") else []),
        "Intervals and p-values are about these weights and held-out pairs, not about other training seeds.",
        "A high accuracy at a site says that an intervention there does what it does in the teacher; a low one does "
        "not say that the student computes nothing alike.",
    ]


def pipes(rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose first row holds the heads; numbers are right-aligned."""
    heads, *lines = rows
    rule = ["---", *("---:" for _ in heads[1:])]
    first, *others = ("| " + " | ".join(map(plain, row)) + " |" for row in (heads, *lines))
    return "\n".join([first, f"| {' | '.join(rule)} |", *others])


def _teaching(results: TeachingResults) -> tuple[str, str]:
    return pipes(teaching_rows(results)), plain(teaching_line(results))


def _making(report: VerificationReport) -> list[str]:
    rows: list[tuple[str, ...]] = [("student", "seed", "objectives (weight)", "block-forwards", "seconds")]
    for student in report.students:
        weights = ", ".join(f"{name} ({weight:g})" for name, weight in student.objectives.items())
        costs = ("–" if cost is None else f"{cost:,.0f}" for cost in (student.block_forwards, student.seconds))
        rows.append((student.name, str(student.seed), weights, *costs))
    made = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    settings = f"{versions}; {made.attention} attention, {made.dtype}, {made.device}, seed of the pairs {made.seed}."
    again = "`causalkd distill` with the run's recipe.yaml repeats the run, `causalkd verify` repeats the measurement."
    return [
        pipes(rows),
        *map(plain, held_out(report)),
        *learning_maps(report.students),
        code_block(report.alignment.to_yaml(), "yaml"),
        plain(settings),
        again,
    ]


def bullets(lines: Sequence[str]) -> str:
    """The lines as a list."""
    return "\n".join(f"- {plain(line)}" for line in lines)
