"""The evaluation of a checkpoint, or of every model of a run, on a split of a task.

`causalkd.runs.evaluation.stored` describes the files that are written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Batch
from causalkd.data.masking import Masking
from causalkd.data.pairs.collator import PairingCollator
from causalkd.data.tasks.loading import Examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.scored_rows import one_mask_each, overlapping_rows
from causalkd.models.checkpoints import load_tokenizer, read_config
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.models.load import load_model
from causalkd.processes.processes import ALONE, Processes, all_processes
from causalkd.runs.evaluation.evaluation_task import EvaluationTask, data_trained_on
from causalkd.runs.evaluation.stored import StaysTheSame, evaluation_folder, files_for, model_name, origin_of, write
from causalkd.runs.folder.kinds import other_kind
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.prepare import build_masking
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.tokenizers import completed, with_padding
from causalkd.runs.trained_run import TrainedRun, finished_models
from causalkd.training.sharding import not_finite
from causalkd.verification.measures.metrics import METRICS, LabelPredictions, check_metrics, reported
from causalkd.verification.measures.task_metrics import answers_of


@no_bars_in_logs()
def evaluate_task(
    origin: str | Path,
    task: str,
    split: str = "validation",
    *,
    limit: int | None = None,
    max_length: int | None = None,
    batch_size: int = 32,
    out: str | Path | None = None,
    stride: int | None = None,
    one_mask_a_row: bool = False,
    unlabelled: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measures a checkpoint, or the models of a run, and writes the metrics and every prediction.

    Several processes (torchrun, accelerate launch) share the rows; the first one writes.

    Args:
        origin: The folder of a run or a fine-tuning, or a checkpoint with the head of the task: a folder or a name.
        task: The task, such as `mrpc`, or a YAML file: a recipe, or a `data` block of your own data.
        split: One of its labelled splits.
        limit: Largest number of rows.
        max_length: Longest row in tokens; by default that of the file or of the run's recipe, and without one 128, or
            the model's limit if that is less.
        batch_size: Rows of a forward pass.
        out: The folder to write to; `evaluations` in the folder of the model if not given.
        stride: For texts of a causal LM: rows overlap, and each begins this many tokens after the last; see
            `overlapping_rows`. Rows do not overlap if it is not given.
        one_mask_a_row: For texts of a masked LM: mask one token per row, every token once; see `one_mask_each`.
            Otherwise 15 % of the tokens are masked, as in training.
        unlabelled: Whether own rows may lack labels, of which the predictions alone are then written.
        overwrite: Whether to replace another measurement of the same name.
        tell: Receives one line for each measurement.

    Raises:
        ValueError: The task, split or model does not exist, the model's head is for another task, a file to write
            holds another measurement, or the run is begun anew meanwhile.
    """
    wanted, processes = EvaluationTask.of(task).as_trained_on(task, data_trained_on(origin)), all_processes()
    _check(wanted, split, stride, one_mask_a_row)
    run, folder, subjects = StaysTheSame(origin), evaluation_folder(origin, out), list(subjects_of(origin, wanted))
    chosen = {"limit": limit, "max_length": max_length, "stride": stride, "one_mask_a_row": one_mask_a_row or None}
    facts = _facts(wanted, split, chosen) | ({} if out is None else {"of": origin_of(origin)})
    files, rows = files_for([name for name, _, _ in subjects], facts, folder, overwrite=overwrite), []
    for name, model, tokenizer in subjects:
        allowed = min(tokenizer.model_max_length, most_tokens(model.model))
        fitted = wanted.for_labels_of(label_names(model))
        examples = fitted.load(split, tokenizer, limit, max_length, allowed, may_lack_labels=unlabelled)
        examples = _rescored(examples.in_label_order(label_names(model)), tokenizer, stride, one_mask_a_row)
        batches = evaluation_batches(examples, tokenizer, batch_size, masked=not one_mask_a_row)
        answers, metrics = measured(model, batches, examples, processes)
        known = {"model": name, **facts, **described(examples, answers), "metrics": metrics}
        rows.append({**known, "file": f"{files[name].name}.json"})
        run.check()
        processes.in_first(partial(write, files[name], answers, model.task, known))
        if tell is not None and processes.is_first:
            tell(_line(name, wanted.name, split, metrics, examples, files[name]))
    return rows


def _facts(task: EvaluationTask, split: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The data and the settings of a measurement, which its files hold."""
    given = {key: value for key, value in chosen.items() if value is not None}
    return {"task": task.name, "split": split, **given, "data": task.settings()}


def _check(task: EvaluationTask, split: str, stride: int | None, one_mask_a_row: bool) -> None:
    """Refuses a split, and ways of scoring, that the task does not have."""
    task.check_split(split)
    text = not (isinstance(task.given, OwnData) and task.given.kind in ("instructions", "chat"))
    faults = []
    if stride is not None and (task.kind != "causal_lm" or not text or task.name in ("instruct", "planted_lm")):
        faults.append(f"stride is {stride}, but {task.name!r} is not plain text for a causal LM; leave it out")
    if one_mask_a_row and task.kind != "masked_lm":
        faults.append(f"one mask a row is given, but {task.name!r} is {task.kind} and not masked_lm; leave it out")
    if faults:
        raise ValueError("\n".join(faults))


def _rescored(
    examples: Examples, tokenizer: PreTrainedTokenizerBase, stride: int | None, one_mask_a_row: bool
) -> Examples:
    if stride is not None:
        return replace(examples, examples=overlapping_rows(examples.examples, stride))
    if one_mask_a_row:
        return replace(examples, examples=one_mask_each(examples.examples, Masking.from_tokenizer(tokenizer).mask_id))
    return examples


def subjects_of(origin: str | Path, task: EvaluationTask) -> Iterator[tuple[str, HookedModel, PreTrainedTokenizerBase]]:
    """The name, the model and the tokenizer of each model to measure.

    Raises:
        ValueError: There is no such model, its head is for another task or has other labels, or its weights are not
            finite.
    """
    folder = RunFolder(Path(origin))
    if folder.path.exists() and not (folder.path / "config.json").is_file() and not folder.holds_finetuning():
        other = other_kind(folder.path)
        if other is not None:
            raise ValueError(f"{other}; or name a checkpoint, whose folder has a config.json")
    if not folder.recipe.is_file() or folder.holds_finetuning():
        for path in finished_models(folder) if folder.recipe.is_file() else [origin]:
            model = load_model(path, task=task.kind, role="teacher", labels=_labels_at(path, task))
            tokenizer = with_padding(model.tokenizer or load_tokenizer(path))
            _check_has_numbers(name := model_name(path), model)
            yield name, completed(model, tokenizer), tokenizer
        return
    run = TrainedRun.load(origin)
    models = {"teacher": run.teacher, **{student.folder_name: student.model for student in run.students}}
    for name, model in models.items():
        has = list(label_names(model))
        if model.task != task.kind or not _same_labels(has, task):
            raise ValueError(
                f"{name} of the run {origin} does {model.task}{f' with the labels {has}' if has else ''}, and the task "
                f"{task.name!r} is {task.kind}{f' with {list(task.labels)}' if task.labels else ''}; name a task "
                "of its kind, or a checkpoint with the head of this task"
            )
        _check_has_numbers(name, model)
        tokenizer = run.data.tokenizer_of(model.role)
        yield name, completed(model, tokenizer), tokenizer


def _check_has_numbers(name: str, model: HookedModel) -> None:
    """Refuses a model with weights that are not finite: it would seem to choose the first class for every input."""
    spoilt = not_finite(model.model)
    if spoilt:
        raise ValueError(
            f"{name} has weights that are not finite ({', '.join(spoilt[:3])}): its training has diverged, so "
            "its predictions mean nothing; train it again with a smaller learning rate"
        )


def _labels_at(path: str | Path, task: EvaluationTask) -> tuple[str, ...] | None:
    """The labels to load the checkpoint with: None keeps its own, if they are those of the task in any order."""
    names: dict[Any, str] = dict(read_config(path).id2label or {})
    own = [names[number] for number in range(len(names))]
    return None if _same_labels(own, task) else task.labels or None


def _same_labels(own: Sequence[str], task: EvaluationTask) -> bool:
    """Whether a model has the labels of the task, in any order for tasks with classes; see also `for_labels_of`."""
    given, wanted = ([label.casefold() for label in labels] for labels in (own, task.for_labels_of(own).labels))
    any_order = task.kind in ("classification", "multi_label", "token_classification")
    return sorted(given) == sorted(wanted) if any_order else given == wanted


def evaluation_batches(
    examples: Examples, tokenizer: PreTrainedTokenizerBase, size: int, *, masked: bool = True
) -> Sequence[Batch]:
    """All examples in their order, without sources; masked as in training unless they are masked already.

    Rows are padded on the right, whatever the tokenizer's file says: encoders count positions from the left edge.
    """
    assert isinstance(tokenizer.pad_token_id, int)
    masking = build_masking(examples, tokenizer) if masked else None
    return PairingCollator(examples.examples, {}, tokenizer.pad_token_id, masking=masking).in_order(size)


def measured(
    model: HookedModel,
    batches: Sequence[Batch],
    examples: Examples,
    processes: Processes = ALONE,
) -> tuple[LabelPredictions, dict[str, float | None]]:
    """Every prediction of a model for some examples, and the metrics of their task, its main metric first.

    Examples without labels have no metrics.
    """
    answers = answers_of(model, batches, examples.metric, examples.examples, processes, examples.positive)
    names = () if examples.unlabelled else reported(examples.metric, examples.further)
    check_metrics(model.task, names, examples.labels)
    return answers, {each: METRICS[each][1](answers) for each in names}


def described(examples: Examples, answers: LabelPredictions) -> dict[str, Any]:
    """The data that the metrics were measured on; predictions are counted in questions, words, tokens or rows."""
    words = sum(len(gold) for gold, _ in answers.tags)
    return {
        "origin": examples.origin,
        "examples": len(examples.examples),
        "predictions": len(answers.answered) or words or len(answers.row),
        "truncated": examples.truncated,
        "lost": examples.lost,
        "left_out": examples.left_out,
        "empty": examples.empty,
    }


def _line(name: str, task: str, split: str, metrics: Mapping[str, float | None], examples: Examples, file: Path) -> str:
    if examples.unlabelled:
        shown = f"no labels, so nothing is measured; the predictions are in {file}.parquet"
        return f"{name}  {task}/{split}  {shown}  ({examples.summary()})"
    shown = "  ".join(f"{each} {'–' if value is None else f'{value:.3f}'}" for each, value in metrics.items())
    return f"{name}  {task}/{split}  {shown}  ({examples.summary()})"
