"""Predictions for GLUE's test rows in the format of its server.

FOLDER/MODEL/MRPC.tsv    a line `index<TAB>prediction` for each row, numbered and in the order of the official file
"""

import math
from collections.abc import Callable
from pathlib import Path

from causalkd.data.tasks.glue_tests import glue_test, unlabelled_rows
from causalkd.data.tasks.loading import USUAL_LENGTH, Examples
from causalkd.data.tasks.registry import task_spec
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.runs.evaluation.evaluation_task import EvaluationTask, data_trained_on
from causalkd.runs.evaluation.stored import StaysTheSame, evaluation_folder
from causalkd.runs.evaluation.tasks import evaluation_batches, subjects_of
from causalkd.runs.folder.layout import write_whole
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.verification.measures.task_metrics import choices

FOLDER = "glue"
_SCORES = (0.0, 5.0)
"""The lowest and the highest score of STS-B."""


@no_bars_in_logs()
def write_submission(
    origin: str | Path,
    task: str,
    *,
    max_length: int | None = None,
    batch_size: int = 32,
    out: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Path]:
    """Predicts GLUE's test rows of a task and writes a file to hand in for each model.

    Arguments and errors are those of `evaluate_task`; the task is one of GLUE's, or `ax`, its diagnostic set for models
    of MNLI. Scores of STS-B are clipped to 0 to 5, as by the authors' own tool.
    """
    test = glue_test(task)
    spec, wanted = task_spec(test.task or task), EvaluationTask.of(test.task or task)
    run, folder, written = StaysTheSame(origin), evaluation_folder(origin, out) / FOLDER, []
    trained = data_trained_on(origin)
    max_length = max_length or (None if trained is None else trained.max_length)
    for name, model, tokenizer in subjects_of(origin, wanted):
        allowed = min(tokenizer.model_max_length, most_tokens(model.model))
        if max_length is not None and max_length > allowed:
            raise ValueError(f"max_length {max_length} is more than the {allowed} tokens that {name} takes; give less")
        rows = unlabelled_rows(task, tokenizer, max_length or min(USUAL_LENGTH, allowed))
        made = rows.tokenised
        examples = Examples(
            made.examples, spec.kind, spec.labels, spec.metric, rows.origin, made.truncated, empty=made.empty
        )
        batches = evaluation_batches(examples, tokenizer, batch_size)
        found = [value for batch in choices(model, batches) for value in batch.tolist()]
        if spec.kind == "classification":
            found = _as_handed_in(found, [label.casefold() for label in label_names(model)], spec.labels, test.by_name)
        else:
            found = _scores(found, name)
        numbered = zip(rows.numbers, found, strict=True)
        lines = ["index\tprediction", *(f"{number}\t{value}" for number, value in numbered)]
        file = folder / name / test.submission
        text = "\n".join(lines) + "\n"
        if out is not None and file.is_file() and file.read_text(encoding="utf-8") != text:  # another model's
            raise ValueError(f"{file} holds other predictions; name another folder with `out`, or delete that file")
        run.check()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
        written.append(file)
        if tell is not None:
            tell(f"{file}: predictions for {examples.summary()}")
    return written


def _scores(values: list[float], name: str) -> list[float]:
    """The values clipped to the range of STS-B's scores."""
    unknown = [number for number, value in enumerate(values) if not math.isfinite(value)]
    if unknown:
        raise ValueError(
            f"{name} predicts no finite score for {len(unknown)} of {len(values)} rows, the first of which is row "
            f"{unknown[0]}; its training has diverged, so there is nothing to hand in"
        )
    return [min(max(value, _SCORES[0]), _SCORES[1]) for value in values]


def _as_handed_in(numbers: list[int], own: list[str], labels: tuple[str, ...], by_name: bool) -> list[str | int]:
    """The model's classes as GLUE's names or numbers."""
    order = [label.casefold() for label in labels]
    # A head without names of its own has the order of the task.
    found = [order.index(own[number]) if sorted(own) == sorted(order) else number for number in numbers]
    return [labels[number] for number in found] if by_name else list(found)
