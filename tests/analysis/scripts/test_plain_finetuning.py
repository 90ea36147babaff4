"""The plain fine-tuning reads the official files and ends in a number."""

from pathlib import Path

import numpy as np
import pytest
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from analysis.scripts.plain_finetuning import TASKS, main, rows_of

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", '"', "runs", "sleeps"]
LINES = {
    "cola": (None, "gj04\t{label}\t*\ta man {verb}"),
    "sst2": ("sentence\tlabel", 'a "man {verb}\t{label}'),
    "stsb": ("\t".join("abcdefghij"), "0\tx\tx\tx\tx\tx\tx\ta man\ta man {verb}\t{label}.5"),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(folder)
    return folder


def _write(folder: Path, task: str) -> Path:
    header, line = LINES[task]
    place = folder / "glue" / TASKS[task].folder
    place.mkdir(parents=True)
    for split, times in (("train", 4), ("dev", 2)):
        rows = [line.format(label=label, verb=verb) for label, verb in ((1, "runs"), (0, "sleeps"))] * times
        (place / f"{split}.tsv").write_text("\n".join([*([header] if header else []), *rows]) + "\n")
    return place


@pytest.mark.parametrize("task", TASKS)
def test_official_rows_are_read(task: str, model: Path, tmp_path: Path) -> None:
    place, tokenizer = _write(tmp_path, task), BertTokenizer.from_pretrained(model)
    rows = rows_of(TASKS[task], place / "dev.tsv", tokenizer)
    assert [row["label"] for row in rows] == [1.5, 0.5, 1.5, 0.5] if task == "stsb" else [1, 0, 1, 0]
    first = {"cola": "a man runs", "sst2": 'a " man runs', "stsb": "a man [SEP] a man runs"}[task]
    assert tokenizer.decode(rows[0]["input_ids"]) == f"[CLS] {first} [SEP]"


def test_the_command_prints_what_is_reached(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, "cola")
    main(["cola", str(model), str(tmp_path), "--epochs", "40", "--learning-rate", "0.005", "--batch-size", "4"])
    assert capsys.readouterr().out.splitlines()[-1] == "cola: 1.0000"


def test_each_task_is_judged_by_its_measure() -> None:
    gold, outputs = np.array([0, 1, 1, 0]), np.array([[2.0, 1], [1, 2], [2, 1], [2, 1]])
    assert TASKS["sst2"].judge(gold, outputs) == 0.75
    assert TASKS["cola"].judge(gold, outputs) == pytest.approx(1 / 3**0.5)
    assert TASKS["stsb"].judge(np.array([1.0, 2, 3]), np.array([[1.0], [4], [9]])) == pytest.approx(1)
