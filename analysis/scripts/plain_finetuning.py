"""Fine-tunes a checkpoint on CoLA, SST-2 or STS-B by transformers and scikit-learn alone, to compare with ours.

`python -m analysis.scripts.plain_finetuning TASK MODEL DATA --epochs N --learning-rate R` reads DATA/glue/…/train.tsv,
trains as `causalkd finetune` does by default, and prints what the model reaches on dev.tsv. It uses nothing of the
reading, the batches, the trainer or the metrics of causalkd.
"""

import csv
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from datasets import Dataset
from jaxtyping import Float, Shaped
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, matthews_corrcoef
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


@dataclass(frozen=True)
class PlainTask:
    """A task of GLUE: its folder, the columns of its texts and of its label, and how it is judged."""

    folder: str
    texts: tuple[int, ...]
    label: int
    labels: int
    judge: Callable[[Shaped[np.ndarray, " rows"], Float[np.ndarray, "rows outputs"]], float]
    header: bool = True


TASKS = {
    "cola": PlainTask("CoLA", (3,), 1, 2, lambda gold, out: matthews_corrcoef(gold, out.argmax(1)), header=False),
    "sst2": PlainTask("SST-2", (0,), 1, 2, lambda gold, out: accuracy_score(gold, out.argmax(1))),
    "stsb": PlainTask("STS-B", (7, 8), 9, 1, lambda gold, out: float(np.asarray(spearmanr(gold, out[:, 0]))[0])),
}


def rows_of(task: PlainTask, file: Path, tokenizer: Any) -> Dataset:
    """The rows of an official file, as a model takes them."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[int(task.header) :]
    number = float if task.labels == 1 else int
    return Dataset.from_list(
        [
            {
                **tokenizer(*(row[at] for at in task.texts), truncation=True, max_length=128),
                "label": number(row[task.label]),
            }
            for row in rows
        ]
    )


def reached(task: PlainTask, model_name: str, data: Path, epochs: float, rate: float, batch: int, seed: int) -> float:
    """The task's measure on dev.tsv after a training on train.tsv."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(model_name, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(
        model_name, num_labels=task.labels, trust_remote_code=False
    )
    train, dev = (rows_of(task, data / "glue" / task.folder / f"{split}.tsv", tokenizer) for split in ("train", "dev"))
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, seed=seed, num_train_epochs=epochs, learning_rate=rate, weight_decay=0.01,
            per_device_train_batch_size=batch, per_device_eval_batch_size=64, warmup_steps=0.1,
            train_sampling_strategy="group_by_length", save_strategy="no", report_to=[], use_cpu=True,
            disable_tqdm=True, logging_steps=250,
        )  # fmt: skip
        trainer = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), train_dataset=train)
        trainer.train()
        found = trainer.predict(dev)  # pyright: ignore[reportArgumentType]  # it takes any dataset
    return float(task.judge(np.asarray(found.label_ids), np.asarray(found.predictions)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=float, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    value = reached(
        TASKS[given.task], given.model, given.data, given.epochs, given.learning_rate, given.batch_size, given.seed
    )
    print(f"{given.task}: {value:.4f}")


if __name__ == "__main__":
    main()
