"""What the causal LMs of a run are worth as such: texts predicted, responses written, harness tasks.

runs/NAME/evaluation.json       one object a measurement
runs/NAME/responses/*.jsonl     what each model answered, beside the reference: input of an outside judge of win rates
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from causalkd.build import build_batches
from causalkd.data.batch import pad
from causalkd.data.files import read_jsonl
from causalkd.data.instructions import Instruction, prompt_ids
from causalkd.data.tasks import load_examples
from causalkd.models.generation import Sampling, continue_prompts
from causalkd.models.hooked import HookedModel
from causalkd.run_folder import write_whole
from causalkd.trained_run import TrainedRun
from causalkd.verification.texts import distinct, mean_words, predict_texts, rouge_l

_AT_ONCE = 16
"""Prompts that are continued at once."""


class _Subject(NamedTuple):
    name: str
    model: HookedModel
    folder: Path | None
    """Its checkpoint; None for a teacher that the run did not train."""


def evaluate_run(
    path: str | Path,
    *,
    texts: Sequence[str] = (),
    prompts: Sequence[str | Path] = (),
    limit: int | None = None,
    max_tokens: int = 128,
    harness: Sequence[str] = (),
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measures a run's teacher and students and writes `evaluation.json` and their responses into its folder.

    Args:
        path: The run folder; its models are causal LMs.
        texts: Further tasks, beside the run's own held-out rows, whose `test` rows are predicted: `wikitext_causal_lm`.
        prompts: Files of instructions with reference responses, one JSON object a line (Dolly, Self-Instruct, Vicuna).
        limit: Most rows of each.
        max_tokens: Longest response, in tokens; the likeliest token is taken each time.
        harness: Tasks of lm-evaluation-harness, such as `mmlu`.
        tell: Is told in a line each what was measured.

    Raises:
        ValueError: No finished run of causal LMs, a task or file that cannot be read, or the harness is not installed.
    """
    run = TrainedRun.load(path)
    if run.data.heldout.kind != "causal_lm":
        raise ValueError(
            f"{path} holds a run on {run.data.heldout.kind}; only causal LMs are evaluated so: use `verify`"
        )
    if harness and find_spec("lm_eval") is None:
        raise ValueError("harness tasks need lm-evaluation-harness; install the extra: pip install 'causalkd[harness]'")
    measure = partial(_measurements, run, texts, prompts, limit, max_tokens, harness)
    rows = []
    for subject in _subjects(run):
        for row in measure(subject):
            rows.append({"model": subject.name, **row})
            if tell is not None:
                tell("  ".join(f"{key} {_shown(value)}" for key, value in rows[-1].items()))
    write_whole(run.folder.path / "evaluation.json", json.dumps(rows, indent=1) + "\n")
    return rows


def _subjects(run: TrainedRun) -> Iterator[_Subject]:
    trained = run.recipe.teacher.training is not None
    yield _Subject("teacher", run.teacher, run.folder.teacher if trained else None)
    for part, seed, model in run.students:
        yield _Subject(f"{part.name}-seed{seed}", model, run.folder.student(run.recipe, part.name, seed))


def _measurements(
    run: TrainedRun,
    texts: Sequence[str],
    prompts: Sequence[str | Path],
    limit: int | None,
    max_tokens: int,
    harness: Sequence[str],
    subject: _Subject,
) -> Iterator[dict[str, Any]]:
    longest, tokenizer = run.recipe.data.max_length, run.data.tokenizer
    sets = {run.recipe.data.task: run.data.heldout}
    sets |= {task: load_examples(task, "test", tokenizer, limit, longest) for task in texts}
    for name, examples in sets.items():
        batches = build_batches(run.recipe, replace(examples, examples=examples.examples[:limit]), tokenizer)
        found = predict_texts(subject.model, batches, tokenizer)
        per_byte = found.perplexity_per_byte
        yield {"texts": name, "perplexity": found.perplexity_per_token, "per_byte": per_byte, "tokens": found.tokens}
    for file in prompts:
        yield _responses(run, subject, Path(file), limit, max_tokens)
    for task, scores in _harness_scores(run, subject, harness, limit).items():
        yield {"harness": task, **{name: value for name, value in scores.items() if isinstance(value, int | float)}}


def _responses(run: TrainedRun, subject: _Subject, file: Path, limit: int | None, max_tokens: int) -> dict[str, Any]:
    """What a model answers to the prompts of a file, written down, and how it compares with the references."""
    if not file.is_file():
        raise ValueError(f"there is no file {file}; give one with an instruction and an output a line")
    found = read_jsonl(file, ("instruction", "input", "output"), {"input": ""})
    given = [Instruction(*row) for row in found[:limit]]
    ids = prompt_ids(given, run.data.tokenizer, run.recipe.data.prompt)
    room = subject.model.model.config.max_position_embeddings - max_tokens
    kept = [(row, prompt) for row, prompt in zip(given, ids, strict=True) if len(prompt) <= room]
    if not kept:
        raise ValueError(f"no prompt of {file} leaves room for {max_tokens} tokens in {subject.model}; ask for fewer")
    answers = _written(subject.model, [prompt for _, prompt in kept], max_tokens)
    rows = [row for row, _ in kept]
    goal = run.folder.path / "responses" / f"{subject.name}-{file.stem}.jsonl"
    goal.parent.mkdir(exist_ok=True)
    lines = [
        {"instruction": row.instruction, "input": row.input, "reference": row.response, "response": answer}
        for row, answer in zip(rows, answers, strict=True)
    ]
    write_whole(goal, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return {
        "prompts": file.stem,
        "rouge_l": rouge_l([row.response for row in rows], answers),
        "distinct_1": distinct(answers, 1),
        "distinct_2": distinct(answers, 2),
        "words": mean_words(answers),
        "answered": len(rows),
        "too_long": len(given) - len(rows),
    }


def _written(model: HookedModel, prompts: Sequence[list[int]], max_tokens: int) -> list[str]:
    """The likeliest continuation of each prompt, prompts of like length together."""
    assert model.tokenizer is not None
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    answers = [""] * len(prompts)
    for batch in (order[start : start + _AT_ONCE] for start in range(0, len(order), _AT_ONCE)):
        padded = pad([{"input_ids": prompts[number]} for number in batch], 0, "left")
        inputs = {name: tensor.to(model.model.device) for name, tensor in padded.items()}
        found = continue_prompts(model, inputs, Sampling(max_tokens, 0.0), seed=0)
        for number, ids, new in zip(batch, found.inputs["input_ids"], found.new, strict=True):
            answers[number] = str(model.tokenizer.decode(ids[new], skip_special_tokens=True)).strip()
    return answers


def _harness_scores(
    run: TrainedRun, subject: _Subject, tasks: Sequence[str], limit: int | None
) -> dict[str, dict[str, Any]]:
    if not tasks:
        return {}
    pretrained = str(subject.folder) if subject.folder is not None else run.recipe.teacher.model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = import_module("lm_eval").simple_evaluate(
        model="hf", model_args={"pretrained": pretrained}, tasks=list(tasks), limit=limit, device=device
    )
    return found["results"]


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
