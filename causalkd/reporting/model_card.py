"""The model card of a student: metadata that a model hub reads, and what the verification found."""

from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from causalkd.reporting.counted import rows_called
from causalkd.reporting.headline import headline
from causalkd.reporting.markdown import bullets, caveats
from causalkd.reporting.markdown_text import code_block, plain
from causalkd.reporting.numbers import number
from causalkd.reporting.summary import rows_of
from causalkd.reporting.tables import chosen_checkpoints, held_out, learning_maps
from causalkd.reporting.verdict import student_sentences, verdict
from causalkd.verification.results.report import StudentResult, VerificationReport
from causalkd.verification.results.site_layers import named, site_layers
from causalkd.verification.statistics.permutation import FEW_PAIRS

_PIPELINES = {
    "classification": "text-classification",
    "multi_label": "text-classification",
    "regression": "text-classification",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
    "masked_lm": "fill-mask",
    "causal_lm": "text-generation",
}
"""The hub's name of the pipeline for a model of each task."""


def model_card(
    report: VerificationReport, student: StudentResult, base_model: str | None = None, datasets: Sequence[str] = ()
) -> str:
    """The model card of a student; the licence is left to the publisher of the student.

    Args:
        report: The report of the run.
        student: One of its students.
        base_model: The hub's name of the model that the student was made from.
        datasets: The hub's names of the data sets that it was trained on.
    """
    begin = f"{student.name}: "
    (sentence,) = (line for line in student_sentences(report) if line.startswith(begin))
    weights = ", ".join(f"{name} ({weight:g})" for name, weight in student.objectives.items())
    metric = report.teacher.metric.replace("_", " ")
    facts = [
        f"Distilled from {report.teacher.name} ({report.teacher.task}), seed {student.seed}.",
        f"Objectives and weights: {weights or 'none'}.",
        f"Held-out {metric}{_of_rows(report, student)}: {number(student.task_metric)}; "
        f"the teacher's: {number(report.teacher.task_metric)}. "
        f"Agreement with the teacher: {number(student.agreement)}.",
        *chosen_checkpoints(report, [student]),
        *held_out(report),
    ]
    if student.block_forwards is not None:
        facts.append(f"Training cost {student.block_forwards:,.0f} forwards of one block over one row.")
    facts += learning_maps([student])
    _, *limits = verdict(report)
    parts = [
        f"---\n{_metadata(report, student, base_model, datasets)}\n---",
        f"# {plain(student.name)}, seed {student.seed}",
        bullets(facts),
        "## Does it compute as its teacher does?",
        plain(sentence),
        bullets([f"The run: {headline(report)}", *limits, *caveats(report)]),
        "## The alignment it was verified with",
        code_block(report.alignment.to_yaml(), "yaml"),
    ]
    return "\n\n".join(parts) + "\n"


def _of_rows(report: VerificationReport, student: StudentResult) -> str:
    """The number of rows that the task metric was measured on, if it is known."""
    own = (row.rows for row in report.task_scores if (row.model, row.seed) == (student.name, student.seed))
    rows = next(own, None)
    return "" if rows is None else f" on {rows:,} {rows_called(report)}"


def _metadata(
    report: VerificationReport, student: StudentResult, base_model: str | None, datasets: Sequence[str]
) -> str:
    results = _results(report, student, datasets)
    data = ModelCardData(
        base_model=base_model,
        datasets=list(datasets) or None,
        library_name="transformers",
        pipeline_tag=_PIPELINES.get(report.teacher.task),
        tags=["causal-distillation"],
        model_name=f"{student.name}-seed{student.seed}" if results else None,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _results(report: VerificationReport, student: StudentResult, datasets: Sequence[str]) -> list[EvalResult]:
    """The metrics of the task, agreement with the teacher, and effective IIA at each aligned site with enough pairs."""
    values = {report.teacher.metric: student.task_metric, **student.metrics, "agreement": student.agreement}
    for row in rows_of(report, student.name, student.seed):
        if row.aligned and row.reachable and row.baseline == "measured" and row.effective_pairs >= FEW_PAIRS:
            teacher, student_layers = map(named, site_layers(report.alignment, row))
            place = f"teacher {teacher}, student {student_layers}, {row.component}"
            values[f"effective IIA ({row.pair}: {place})"] = row.iia_effective
    name = datasets[0] if datasets else "held-out data"
    return [
        EvalResult(
            task_type=_PIPELINES.get(report.teacher.task, report.teacher.task),
            dataset_type=name,
            dataset_name=name,
            metric_type=metric,
            metric_value=round(value, 4),
        )
        for metric, value in values.items()
        if value is not None
    ]
