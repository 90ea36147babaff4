"""A report as Markdown: for pull requests, and as the model card of a student."""

from collections.abc import Sequence

from causalkd.reporting import attribution_tables as attribution_table
from causalkd.reporting.markdown_text import code_block, plain
from causalkd.reporting.student_comparison import reference_sentences
from causalkd.reporting.tables import (
    DIFFERENCES,
    LEARNING_MAPS,
    MEANING,
    differences_between,
    no_numbers,
    number,
    tables,
    teacher_line,
    unreachable,
)
from causalkd.reporting.teaching_tables import teaching_line, teaching_rows
from causalkd.reporting.verdict import student_sentences, verdict
from causalkd.verification.results.report import StudentResult, VerificationReport
from causalkd.verification.results.teaching import TeachingResults

CAVEATS = (
    "Accuracy at aligned sites is in the objective of a student trained by interchange: other sites and unseen "
    "pairs are the evidence.",
    "Intervals and p-values are about these weights and held-out pairs, not about other training seeds.",
    "A high accuracy at a site says that an intervention there does what it does in the teacher; a low one elsewhere "
    "does not say that the student computes nothing alike.",
)
"""What the numbers do not say."""


def as_markdown(report: VerificationReport) -> str:
    """The report as one Markdown text: the sentences, the tables, the caveats, and how it was made."""
    first, *rest = verdict(report)
    title = f"# Verification: {plain(report.alignment.name)}"
    parts = [title, f"**{plain(first)}**", _list([*student_sentences(report), *rest]), plain(teacher_line(report))]
    for table in tables(report):
        parts += [f"## {plain(table.title)}", pipes(table.rows)]
    parts += map(plain, (*unreachable(report), *no_numbers(report)))
    compared = differences_between(report)
    if compared:
        parts += [f"## {DIFFERENCES}", _list([*reference_sentences(report), *compared])]
    if report.attribution is not None:
        parts += ["## Which tokens the predictions depend on", attribution_table.as_markdown(report).rstrip()]
        if report.attribution.map_distances:
            parts += ["### Maps as AD-KD trains them", pipes(attribution_table.distance_rows(report.attribution))]
        if report.attribution.teaching is not None:
            parts += ["## The teaching mode of each token", *_teaching(report.attribution.teaching)]
    parts += ["## How to read it", MEANING, _list(CAVEATS), "## How it was made", *_making(report)]
    return "\n\n".join(parts) + "\n"


def model_card(report: VerificationReport, student: StudentResult) -> str:
    """The model card of a student, from the same facts."""
    (sentence,) = (line for line in student_sentences(report) if line.startswith(f"{student.name}: "))
    weights = ", ".join(f"{name} ({weight:g})" for name, weight in student.objectives.items())
    metric = report.teacher.metric.replace("_", " ")
    facts = [
        f"Distilled from {report.teacher.name} ({report.teacher.task}), seed {student.seed}.",
        f"Objectives and weights: {weights or 'none'}.",
        f"Held-out {metric}: {number(student.task_metric)}; the teacher's: {number(report.teacher.task_metric)}. "
        f"Agreement with the teacher: {number(student.agreement)}.",
    ]
    if student.block_forwards is not None:
        facts.append(f"Training cost {student.block_forwards:,.0f} forwards of one block over one row.")
    facts += _learning_maps([student])
    return (
        "\n\n".join(
            [
                "---\ntags: [causal-distillation]\n---",
                f"# {plain(student.name)}, seed {student.seed}",
                _list(facts),
                "## Does it compute as its teacher does?",
                plain(sentence),
                _list([verdict(report)[0], *CAVEATS]),
                "## The alignment it was verified with",
                code_block(report.alignment.to_yaml(), "yaml"),
            ]
        )
        + "\n"
    )


def pipes(rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose first row are the heads; numbers are right-aligned."""
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
        *_learning_maps(report.students),
        code_block(report.alignment.to_yaml(), "yaml"),
        plain(settings),
        again,
    ]


def _learning_maps(students: Sequence[StudentResult]) -> list[str]:
    return [LEARNING_MAPS] if any("adkd" in student.objectives for student in students) else []


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)
