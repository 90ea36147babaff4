"""How well a checkpoint, or every model of a run, does a task on one of its splits.

FOLDER/MODEL-TASK-SPLIT.json      what was measured, on which rows
FOLDER/MODEL-TASK-SPLIT.parquet   every prediction beside its label, from which each figure can be computed again

Where a limit, a length, or a way of scoring is asked for, the names end in it: `-limit100`, `-length64`, `-stride32`.
"""

import json
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
from causalkd.runs.evaluation.asked_task import AskedTask, data_trained_on
from causalkd.runs.folder.kinds import other_kind
from causalkd.runs.folder.layout import RunFolder, write_whole
from causalkd.runs.setup.prepare import build_masking
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.tokenizers import completed, with_padding
from causalkd.runs.trained_run import TrainedRun, finished_models
from causalkd.verification.measures.metrics import METRICS, LabelPredictions, check_metrics, reported
from causalkd.verification.measures.task_metrics import answers_of
from causalkd.verification.results.finite import finite_or_none

FOLDER = "evaluations"


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
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measures a checkpoint, or the models of a run, and writes what was found and every prediction.

    Several processes (torchrun, accelerate launch) share the rows; the first one writes.

    Args:
        origin: A run folder, also of a fine-tuning, or a checkpoint with the head of the task: a folder or a name.
        task: The task, such as `mrpc`, or a YAML file: a recipe, or a `data` block of your own data.
        split: One of its labelled splits.
        limit: Largest number of rows.
        max_length: Longest row in tokens; by default that of the file or of the run's recipe, and without one 128, or
            what the model takes where that is less.
        batch_size: Rows of a forward pass.
        out: The folder to write to; `evaluations` in the folder of the model if not given.
        stride: Of texts for a causal LM, how many tokens a row moves on by; see `overlapping_rows`. Rows do not overlap
            if it is not given.
        one_mask_a_row: Of texts for a masked LM, mask every token once and alone; see `one_mask_each`. Else a seventh
            of the tokens is masked as in training.
        tell: Receives one line for each measurement.

    Raises:
        ValueError: The task, split or model does not exist, or the model's head is for another task.
    """
    asked, processes = AskedTask.of(task).as_trained_on(task, data_trained_on(origin)), all_processes()
    asked.check_split(split)
    _check_scoring(asked, stride, one_mask_a_row)
    folder = evaluation_folder(origin, out)
    subjects = list(subjects_of(origin, asked))
    scoring = {"stride": stride} if stride else {"one_mask_a_row": True} if one_mask_a_row else {}
    chosen = {"limit": limit, "max_length": max_length}
    chosen = {key: number for key, number in chosen.items() if number is not None}
    way = _ways(limit, max_length, stride, one_mask_a_row)
    rows = []
    for name, model, tokenizer in subjects:
        allowed = min(tokenizer.model_max_length, most_tokens(model.model))
        fitted = asked.for_labels_of(label_names(model))
        examples = fitted.load(split, tokenizer, limit, max_length, allowed).in_label_order(label_names(model))
        examples = _rescored(examples, tokenizer, stride, one_mask_a_row)
        batches = evaluation_batches(examples, tokenizer, batch_size, masked=not one_mask_a_row)
        answers, metrics = measured(model, batches, examples, processes)
        file = "-".join([name, asked.name, split, *way])
        facts = {"model": name, "task": asked.name, "split": split, **chosen, **scoring}
        known = {**facts, **described(examples, answers), "metrics": metrics}
        rows.append({**known, "file": f"{file}.json"})
        stored = {**known, "metrics": {each: finite_or_none(value) for each, value in metrics.items()}}
        stored |= {"predictions": f"{file}.parquet"}
        processes.in_first(partial(_write, folder / file, answers, model.task, stored))
        if tell is not None and processes.is_first:
            tell(_line(name, asked.name, split, metrics, examples))
    return rows


def _ways(limit: int | None, max_length: int | None, stride: int | None, one_mask_a_row: bool) -> list[str]:
    """What the names of files end in, so that other rows and other ways of scoring have files of their own."""
    numbers = {"limit": limit, "length": max_length, "stride": stride}
    ways = [f"{word}{number}" for word, number in numbers.items() if number is not None]
    return [*ways, *(["masks"] if one_mask_a_row else [])]


def _write(file: Path, answers: LabelPredictions, kind: str, stored: Mapping[str, Any]) -> None:
    """Writes the predictions of a model and what was measured of them."""
    write_predictions(answers, kind, file.with_name(f"{file.name}.parquet"))
    write_whole(file.with_name(f"{file.name}.json"), json.dumps(stored, indent=1, allow_nan=False) + "\n")


def evaluation_folder(origin: str | Path, out: str | Path | None) -> Path:
    """Where the evaluations of a model are written: to `out`, or if it is not given beside the model."""
    if out is not None:
        return Path(out)
    path = Path(origin)
    return path / FOLDER if path.is_dir() else Path(FOLDER) / str(origin).replace("/", "--")


def _check_scoring(asked: AskedTask, stride: int | None, one_mask_a_row: bool) -> None:
    """Refuses ways of scoring that the task does not have."""
    text = not (isinstance(asked.given, OwnData) and asked.given.kind in ("instructions", "chat"))
    faults = []
    if stride is not None and (asked.kind != "causal_lm" or not text or asked.name in ("instruct", "planted_lm")):
        faults.append(f"stride is {stride}, but {asked.name!r} is no plain text for a causal LM; leave it out")
    if one_mask_a_row and asked.kind != "masked_lm":
        faults.append(
            f"one mask a row is asked for, but {asked.name!r} is {asked.kind} and not masked_lm; leave it out"
        )
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


def subjects_of(origin: str | Path, asked: AskedTask) -> Iterator[tuple[str, HookedModel, PreTrainedTokenizerBase]]:
    """The name, the model and the tokenizer of all that is to be measured.

    Raises:
        ValueError: There is no such model, or its head is of another task or has other labels.
    """
    folder = RunFolder(Path(origin))
    if folder.path.exists() and not (folder.path / "config.json").is_file() and not folder.holds_finetuning():
        other = other_kind(folder.path)
        if other is not None:
            raise ValueError(f"{other}; or name a checkpoint, whose folder has a config.json")
    if not folder.recipe.is_file() or folder.holds_finetuning():
        for path in finished_models(folder) if folder.recipe.is_file() else [origin]:
            model = load_model(path, task=asked.kind, role="teacher", labels=_labels_at(path, asked))
            tokenizer = with_padding(model.tokenizer or load_tokenizer(path))
            yield Path(path).name, completed(model, tokenizer), tokenizer
        return
    run = TrainedRun.load(origin)
    models = {"teacher": run.teacher, **{student.folder_name: student.model for student in run.students}}
    for name, model in models.items():
        has = list(label_names(model))
        if model.task != asked.kind or not _same_labels(has, asked):
            raise ValueError(
                f"{name} of the run {origin} does {model.task}{f' with the labels {has}' if has else ''}, and the task "
                f"{asked.name!r} is {asked.kind}{f' with {list(asked.labels)}' if asked.labels else ''}; name a task "
                "of its kind, or a checkpoint with the head of this task"
            )
        tokenizer = run.data.tokenizer_of(model.role)
        yield name, completed(model, tokenizer), tokenizer


def _labels_at(path: str | Path, asked: AskedTask) -> tuple[str, ...] | None:
    """The task's labels, in the order in which the checkpoint has them, where they are the same ones."""
    names: dict[Any, str] = dict(read_config(path).id2label or {})
    own = [names[number] for number in range(len(names))]
    return None if _same_labels(own, asked) else asked.labels or None


def _same_labels(own: Sequence[str], asked: AskedTask) -> bool:
    """Whether a model has the labels of the task, in any order where a row has one; see `for_labels_of`, too."""
    given, wanted = ([label.casefold() for label in labels] for labels in (own, asked.for_labels_of(own).labels))
    any_order = asked.kind in ("classification", "multi_label")
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
    """Every prediction of a model for some examples, and the metrics of their task, the one that judges it first."""
    answers = answers_of(model, batches, examples.metric, examples.examples, processes, examples.positive)
    names = reported(examples.metric, examples.further)
    check_metrics(model.task, names, examples.labels)
    return answers, {each: METRICS[each][1](answers) for each in names}


def described(examples: Examples, answers: LabelPredictions) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "origin": examples.origin,
        "examples": len(examples.examples),
        "predictions": len(answers.answered) or len(answers.row),
        "truncated": examples.truncated,
        "lost": examples.lost,
        "left_out": examples.left_out,
    }


def write_predictions(answers: LabelPredictions, kind: str, file: Path) -> None:
    """Writes every prediction beside its label, from which each metric can be computed again, as Parquet."""
    from datasets import Dataset

    file.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(_columns(answers, kind)).to_parquet(str(file))


def _columns(answers: LabelPredictions, kind: str) -> dict[str, list[Any]]:
    """Every prediction beside its label: names of classes, tags of sentences, texts of answers, numbers of tokens."""
    if kind == "question_answering":
        return {
            "question": [each.question for each in answers.answered],
            "prediction": [each.text for each in answers.answered],
            "accepted": [list(each.accepted) for each in answers.answered],
            "null_odds": [each.null_odds for each in answers.answered],
        }
    if kind == "token_classification":
        gold, predicted = ([list(tags) for tags in side] for side in zip(*answers.tags, strict=True))
        return {"label": gold, "prediction": predicted}
    gold, predicted = answers.gold.tolist(), answers.choice.tolist()
    if kind == "multi_label":
        gold, predicted = ([_present(answers.labels, flags) for flags in side] for side in (gold, predicted))
    elif answers.labels:
        gold, predicted = ([answers.labels[number] for number in side] for side in (gold, predicted))
    found = {"row": answers.row.tolist(), "label": gold, "prediction": predicted}
    if answers.gold_log_probability is not None:
        found["label_log_probability"] = answers.gold_log_probability.tolist()
    return found


def _present(labels: Sequence[str], flags: Sequence[int]) -> list[str]:
    return [label for label, flag in zip(labels, flags, strict=True) if flag]


def _line(name: str, task: str, split: str, metrics: Mapping[str, float | None], examples: Examples) -> str:
    shown = "  ".join(f"{each} {'–' if value is None else f'{value:.3f}'}" for each, value in metrics.items())
    return f"{name}  {task}/{split}  {shown}  ({examples.summary()})"
