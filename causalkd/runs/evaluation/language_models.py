"""The evaluation of a run's causal LMs as language models: perplexity, generated responses, harness tasks.

runs/NAME/evaluation.json       one object per measurement; see `causalkd.runs.evaluation.measured_rows`
runs/NAME/responses/*.jsonl     each model's responses with the references, as input for an external judge of win rates;
                                the names end in a limit, and in a number of tokens other than the default
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Batch, Example, pad
from causalkd.data.tasks.instructions import Instruction, prompt_ids
from causalkd.data.tasks.loading import load_examples, task_spec
from causalkd.data.tasks.raw_rows import DATA_VARIABLE
from causalkd.data.tasks.readers import read_jsonl
from causalkd.data.tasks.row_checks import check_rows
from causalkd.models.generation import Sampling, continue_prompts
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import most_tokens
from causalkd.processes.processes import Processes, all_processes
from causalkd.recipe.sections import DataPart
from causalkd.runs.evaluation.harness import HarnessOptions, harness_faults, harness_scores
from causalkd.runs.evaluation.measured_rows import merged, read_rows, write_rows
from causalkd.runs.folder.layout import write_whole
from causalkd.runs.folder.lock import working_alone
from causalkd.runs.setup.data import longest_row
from causalkd.runs.setup.prepare import build_batches
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.sequences import prompt_style, reply_ends
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.measures.text_quality import distinct, mean_words, predict_texts, rouge_l

_USUAL_TOKENS = 128
_AT_ONCE = 16
"""The number of prompts that are continued at once."""


class _Subject(NamedTuple):
    name: str
    model: HookedModel
    folder: Path | None
    """The model's checkpoint; None for a teacher that the run did not train."""


class _Prompts(NamedTuple):
    name: str
    given: list[Instruction]
    ids: list[list[int]]
    too_long: int = 0
    """The number of further prompts that leave no room for a response in some model."""


class _Texts(NamedTuple):
    batches: Sequence[Batch]
    examples: Sequence[Example]


class _Inputs(NamedTuple):
    """All data that every model is measured on, read before the first measurement."""

    texts: dict[str, _Texts]
    prompts: list[_Prompts]
    harness: Sequence[str]
    options: HarnessOptions
    limit: int | None
    max_tokens: int
    processes: Processes


@working_alone
@no_bars_in_logs()
def evaluate_run(
    path: str | Path,
    *,
    texts: Sequence[str] = (),
    prompts: Sequence[str | Path] = (),
    limit: int | None = None,
    max_tokens: int = _USUAL_TOKENS,
    harness: Sequence[str] = (),
    options: HarnessOptions = HarnessOptions(),  # noqa: B008 - it is frozen
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure a run's teacher and students and add it to `evaluation.json` and their responses to its folder.

    Everything is read, and its length checked, before the first model is measured; the results of a model are written
    before the next is measured. Several processes (torchrun, accelerate launch) share the texts and the prompts.

    Args:
        path: The run folder; its models are causal LMs.
        texts: Tasks such as `wikitext_causal_lm` whose `test` rows are predicted, after the run's own held-out rows.
        prompts: Files of instructions with reference responses, one JSON object per line (Dolly, Self-Instruct,
            Vicuna); files that do not exist at the given path are looked for in CAUSALKD_DATA/instruct.
        limit: Largest number of rows of each task, text or file of prompts.
        max_tokens: Longest response, in tokens; the likeliest token is taken each time.
        harness: Tasks of lm-evaluation-harness, such as `mmlu`.
        options: Options of the harness.
        tell: Receives one line for each measurement.

    Raises:
        ValueError: There is no finished run of causal LMs, a task or file cannot be read, or the harness is missing.
    """
    processes = all_processes()
    if harness and processes.count > 1:
        raise ValueError(
            f"{', '.join(harness)} were given in {processes.count} processes, but the harness runs in one; call the "
            "same command without torchrun or accelerate launch"
        )
    run = TrainedRun.load(path)
    if run.data.heldout.kind != "causal_lm":
        raise ValueError(
            f"{path} holds a run on {run.data.heldout.kind}; this command evaluates only causal LMs: measure it with "
            "--task"
        )
    _check_names(texts, harness_faults(harness, options, run.data.tokenizer))
    subjects = list(_subjects(run))
    files = _prompts(run.recipe.data, run.data.tokenizer, prompts, limit)
    files = [_fitting([subject.model for subject in subjects], given, max_tokens) for given in files]
    inputs = _Inputs(_texts(run, texts, limit), files, harness, options, limit, max_tokens, processes)
    file, rows = run.folder.path / "evaluation.json", []
    known = read_rows(file)
    for subject in subjects:
        for row in _measurements(run, subject, inputs):
            rows.append({"model": subject.name, **row})
            if tell is not None and processes.is_first:
                tell("  ".join(f"{key} {_shown(value)}" for key, value in rows[-1].items() if value is not None))
        processes.in_first(partial(write_rows, file, merged(known, rows)))
    return rows


def _check_names(texts: Sequence[str], of_harness: Sequence[str]) -> None:
    """Checks, before the first model is measured, that every named task exists; lists every fault."""
    faults = [
        f"texts of the task {task!r}, which is {task_spec(task).kind}, are not predicted token by token; name a "
        "causal_lm task"
        for task in texts
        if task_spec(task).kind != "causal_lm"
    ]
    faults += of_harness
    if faults:
        raise ValueError("\n".join(faults))


def _subjects(run: TrainedRun) -> Iterator[_Subject]:
    trained = run.recipe.teacher.training is not None
    yield _Subject("teacher", run.teacher, run.folder.teacher if trained else None)
    for part, seed, model in run.students:
        yield _Subject(f"{part.name}-seed{seed}", model, run.folder.student(run.recipe, part.name, seed))


def _texts(run: TrainedRun, tasks: Sequence[str], limit: int | None) -> dict[str, _Texts]:
    """The run's own held-out rows and the test rows of other tasks, by name, cut to the length that all models take."""
    part, tokenizer = run.recipe.data, run.data.tokenizer
    models = [run.teacher, *(student.model for student in run.students)]
    longest = min(longest_row(part, tokenizer), *(most_tokens(model.model) for model in models))
    sets = {part.data_name: run.data.heldout}
    for task in tasks:
        sets[f"{task}/test"] = load_examples(task, "test", tokenizer, limit, longest, prompt=prompt_style(part))
    cut = {name: replace(examples, examples=examples.examples[:limit]) for name, examples in sets.items()}
    return {
        name: _Texts(build_batches(run.recipe, examples, tokenizer), examples.examples)
        for name, examples in cut.items()
    }


def _prompts(
    part: DataPart, tokenizer: PreTrainedTokenizerBase, files: Sequence[str | Path], limit: int | None
) -> list[_Prompts]:
    data = os.environ.get(DATA_VARIABLE)
    folders = [Path(), *([Path(data) / "instruct"] if data else [])]
    paths = {str(file): [folder / file for folder in folders if (folder / file).is_file()] for file in files}
    lacking = [file for file, found in paths.items() if not found]
    if lacking:
        raise ValueError(
            f"there is no file {', '.join(lacking)}, neither here nor in the folder instruct of {DATA_VARIABLE}"
            f"{f' ({data})' if data else ', which is not set'}; give files with an instruction and an output a line"
        )
    chosen = [found[0] for found in paths.values()]
    alike = [str(file) for file in chosen if sum(file.stem == other.stem for other in chosen) > 1]
    if alike:
        raise ValueError(
            f"{', '.join(alike)} have the same name, which their responses would share; rename all but one"
        )
    found = []
    for file in chosen:
        keys = ("instruction", "input", "output")
        read = read_jsonl(file, keys, {"input": ""})[:limit]
        rows = [(said, "" if more is None else more, answer) for said, more, answer in read]
        if not rows:
            raise ValueError(f"{file} has no rows; give a file with an instruction and an output a line")
        check_rows(keys, keys, list(zip(*rows, strict=True)), str(file))
        given = [Instruction(*row) for row in rows]
        found.append(_Prompts(file.stem, given, prompt_ids(given, tokenizer, prompt_style(part))))
    return found


def _fitting(models: Sequence[HookedModel], prompts: _Prompts, max_tokens: int) -> _Prompts:
    """The prompts that leave room for a response in every model, so that all models answer the same ones."""
    least = min(models, key=lambda model: most_tokens(model.model))
    room = most_tokens(least.model) - max_tokens
    kept = [number for number, prompt in enumerate(prompts.ids) if len(prompt) <= room]
    if not kept:
        raise ValueError(
            f"no prompt of {prompts.name} leaves room for {max_tokens} tokens in {least}; set max_tokens lower"
        )
    given, ids = [prompts.given[number] for number in kept], [prompts.ids[number] for number in kept]
    return _Prompts(prompts.name, given, ids, len(prompts.ids) - len(kept))


def _measurements(run: TrainedRun, subject: _Subject, inputs: _Inputs) -> Iterator[dict[str, Any]]:
    for name, texts in inputs.texts.items():
        found = predict_texts(subject.model, texts.batches, texts.examples, inputs.processes)
        per_byte = found.perplexity_per_byte
        figures = {"perplexity": found.perplexity_per_token, "per_byte": per_byte, "tokens": found.tokens}
        yield {"texts": name, "limit": inputs.limit, **figures}
    for prompts in inputs.prompts:
        yield _responses(run, subject, prompts, inputs)
    checkpoint, options = _checkpoint(run, subject), inputs.options
    for task, scores in harness_scores(checkpoint, inputs.harness, options, inputs.limit).items():
        how = {"limit": inputs.limit, "shots": options.shots, "chat_template": options.chat_template}
        figures = {name: value for name, value in scores.items() if isinstance(value, int | float)}
        yield {"harness": task, **how, **figures}


def _responses(run: TrainedRun, subject: _Subject, prompts: _Prompts, inputs: _Inputs) -> dict[str, Any]:
    """Writes a model's responses to the prompts of a file, and compares them with the references."""
    answers = _written(
        subject.model,
        prompts.ids,
        Sampling(inputs.max_tokens, 0.0, ends=reply_ends(run.recipe.data, run.data.tokenizer)),
        inputs.processes,
    )
    rows = prompts.given
    ends = f"-limit{inputs.limit}" if inputs.limit is not None else ""
    ends += f"-tokens{inputs.max_tokens}" if inputs.max_tokens != _USUAL_TOKENS else ""
    goal = run.folder.path / "responses" / f"{subject.name}-{prompts.name}{ends}.jsonl"
    lines = [
        {"instruction": row.instruction, "input": row.input, "reference": row.response, "response": answer}
        for row, answer in zip(rows, answers, strict=True)
    ]

    def write() -> None:
        goal.parent.mkdir(exist_ok=True)
        write_whole(goal, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    inputs.processes.in_first(write)
    return {
        "prompts": prompts.name,
        "limit": inputs.limit,
        "max_tokens": inputs.max_tokens,
        "rouge_l": rouge_l([row.response for row in rows], answers),
        "distinct_1": distinct(answers, 1),
        "distinct_2": distinct(answers, 2),
        "words": mean_words(answers),
        "answered": len(rows),
        "too_long": prompts.too_long,
    }


def _written(model: HookedModel, prompts: Sequence[list[int]], sampling: Sampling, processes: Processes) -> list[str]:
    """The likeliest continuation of each prompt; prompts of similar length are continued together."""
    assert model.tokenizer is not None
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    batches = [order[start : start + _AT_ONCE] for start in range(0, len(order), _AT_ONCE)]
    answers: dict[int, str] = {}
    for batch in (batches[number] for number in processes.share(len(batches))):
        padded = pad([{"input_ids": prompts[number]} for number in batch], 0, "left")
        inputs = {name: tensor.to(model.model.device) for name, tensor in padded.items()}
        found = continue_prompts(model, inputs, sampling, seed=0)
        for number, ids, new in zip(batch, found.inputs["input_ids"], found.new, strict=True):
            answers[number] = str(model.tokenizer.decode(ids[new], skip_special_tokens=True)).strip()
    answers = processes.together(answers)
    return [answers[number] for number in range(len(prompts))]


def _checkpoint(run: TrainedRun, subject: _Subject) -> str | Path:
    origin = subject.folder or run.recipe.teacher.model
    assert origin is not None  # a teacher that was not trained comes from a checkpoint
    return origin


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
