"""What MiniLM reaches when it is fine-tuned on the tasks of this project: the runs, and the table of them.

python -m analysis.scripts.finetuned_minilm run --folder runs/baselines     task by task; an interrupted run continues
python -m analysis.scripts.finetuned_minilm table --folder runs/baselines   writes analysis/results/baselines.md
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[1] / "results" / "baselines.md"
MODEL = "minilm-l6"
_MARK = "<!-- the table; python -m analysis.scripts.finetuned_minilm table writes it -->"


@dataclass(frozen=True)
class Baseline:
    """A task, how long it is trained on, and what is expected of a model of this size."""

    task: str
    metric: str
    bar: float
    epochs: int
    max_length: int = 128
    batch_size: int = 16
    learning_rates: tuple[float, ...] = (1e-4,)
    """Where there are several, the one is taken that does best on a tenth of the training rows, trained on the rest."""

    def recipe(self, folder: Path, learning_rate: float) -> dict[str, Any]:
        """The recipe of `causalkd finetune`, which is measured on the official rows."""
        training = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": learning_rate,
            "weight_decay": 0.01,
            "group_by_length": True,
            "save_steps": 250,
        }
        data = {"task": self.task, "max_length": self.max_length}
        output = str(folder / self.task)
        return {"name": self.task, "model": MODEL, "data": data, "training": training, "output": output}

    def trial(self, folder: Path, learning_rate: float) -> dict[str, Any]:
        """The same, trained on nine tenths of the training rows and measured on the others."""
        recipe = self.recipe(folder, learning_rate)
        recipe["data"]["heldout_share"] = 0.1
        return {**recipe, "output": str(folder / "choice" / f"{self.task}-{learning_rate:g}")}


BASELINES: tuple[Baseline, ...] = (
    Baseline("cola", "matthews_correlation", 0.35, 5, batch_size=32, learning_rates=(3e-5, 1e-4, 3e-4)),
    Baseline("wnut17", "entity_f1", 0.30, 6),
    Baseline("mrpc", "f1", 0.87, 4, learning_rates=(3e-5, 1e-4)),
    Baseline("stsb", "spearman", 0.87, 6, learning_rates=(3e-5, 1e-4)),
    Baseline("rte", "accuracy", 0.58, 6, max_length=192, learning_rates=(3e-5, 1e-4)),
    Baseline("sst2", "accuracy", 0.90, 2, batch_size=32, learning_rates=(3e-5,)),
    Baseline("qnli", "accuracy", 0.80, 2),
    Baseline("squad", "answer_f1", 0.55, 2, max_length=256),
)
"""The tasks in the order in which they are trained."""


def run(folder: Path, tasks: Sequence[str] = ()) -> None:
    """Fine-tunes what is not finished, of all tasks or of some."""
    for baseline in BASELINES:
        if (tasks and baseline.task not in tasks) or (folder / baseline.task / "finetune.json").is_file():
            continue
        _finished(baseline.recipe(folder, _chosen_rate(baseline, folder)))


def _chosen_rate(baseline: Baseline, folder: Path) -> float:
    """The learning rate that does best on held-out training rows; the smaller one of two that do equally well."""
    if len(baseline.learning_rates) == 1:
        return baseline.learning_rates[0]

    def reached(rate: float) -> float:
        value = _finished(baseline.trial(folder, rate))["scores"][0]["metrics"][baseline.metric]
        return float("-inf") if value is None else value

    return max(baseline.learning_rates, key=reached)


def _finished(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a fine-tuning found, which is run unless it is finished."""
    from causalkd.recipe.finetune import FinetuneRecipe
    from causalkd.reporting.finetuning import finetuning_lines
    from causalkd.runs.finetune import finetune

    file = Path(recipe["output"], "finetune.json")
    if not file.is_file():
        found = finetune(FinetuneRecipe.parse(recipe), tell=print)
        print("\n".join(finetuning_lines(found)), flush=True)
    return json.loads(file.read_text(encoding="utf-8"))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows of the finished runs; those that are not finished say so.

    Args:
        found: For each finished task what `finetune.json` holds, and `learning_rate`.
    """
    lines = [
        "| task | held-out rows | metric | reached | expected | further metrics | learning rate | epochs | steps "
        "| seconds |",
        f"|{'---|' * 10}",
    ]
    for baseline in BASELINES:
        if baseline.task not in found:
            lines.append(f"| {baseline.task} | – | {baseline.metric} | not run | {baseline.bar:.2f} | | | | | |")
            continue
        result = found[baseline.task]
        (scores,) = result["scores"]
        reached, split = scores["metrics"][baseline.metric], result["split"]
        further = ", ".join(
            f"{name} {_shown(value)}" for name, value in scores["metrics"].items() if name != baseline.metric
        )
        met = "" if reached is not None and reached >= baseline.bar else " (below)"
        rows = f"{split['predictions'] if baseline.task == 'squad' else split['examples']} of {split['origin']}"
        seconds = "–" if scores["seconds"] is None else f"{scores['seconds']:.0f}"
        lines.append(
            f"| {baseline.task} | {rows} | {baseline.metric} | {_shown(reached)}{met} | {baseline.bar:.2f} | {further} "
            f"| {result['learning_rate']:g} | {baseline.epochs} | {scores['steps'] or '–'} | {seconds} |"
        )
    return "\n".join(lines)


def write_table(folder: Path, page: Path = PAGE) -> None:
    """Puts the table of the finished runs in a folder below the page's mark.

    Raises ValueError where the page has no mark.
    """
    folders = {each.task: folder / each.task for each in BASELINES}
    found = {task: _found(run) for task, run in folders.items() if (run / "finetune.json").is_file()}
    before, mark, _ = page.read_text(encoding="utf-8").partition(_MARK)
    if not mark:
        raise ValueError(f"{page} has no line {_MARK!r}, below which the table stands. Put it there")
    page.write_text(f"{before}{mark}\n\n{table(found)}\n", encoding="utf-8")


def _found(run: Path) -> dict[str, Any]:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    result = json.loads((run / "finetune.json").read_text(encoding="utf-8"))
    return {**result, "learning_rate": recipe["training"]["learning_rate"]}


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = ArgumentParser(description="Fine-tune MiniLM on every task, or write the table of what it reached.")
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--folder", type=Path, default=Path("runs/baselines"), help="Where the runs are.")
    parser.add_argument("--task", action="append", default=[], help="One of the tasks (repeatable); all if not given.")
    asked = parser.parse_args(arguments)
    if asked.what == "run":
        run(asked.folder, asked.task)
    else:
        write_table(asked.folder)


if __name__ == "__main__":
    main()
