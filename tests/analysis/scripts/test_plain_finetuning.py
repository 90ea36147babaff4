"""The plain fine-tuning reads the official files and ends in a number."""

from pathlib import Path

import numpy as np
import pytest
from transformers import BertConfig, BertForSequenceClassification

from analysis.scripts.plain_finetuning import TASKS, main, rows_of
from tests.data.tiny_tokenizers import bert_like

LINES = {
    "cola": (None, "gj04\t{label}\t*\ta cat {verb}"),
    "sst2": ("sentence\tlabel", 'a "cat {verb}\t{label}'),
    "stsb": ("\t".join("abcdefghij"), "0\tx\tx\tx\tx\tx\tx\ta cat\ta cat {verb}\t{label}.5"),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder, sizes = tmp_path / "model", {"num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(bert_like()), hidden_size=32, num_hidden_layers=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    bert_like().save_pretrained(folder)
    return folder


def _write(folder: Path, task: str) -> Path:
    header, line = LINES[task]
    place = folder / "glue" / TASKS[task].folder
    place.mkdir(parents=True)
    for split, times in (("train", 4), ("dev", 2)):
        rows = [line.format(label=label, verb=verb) for label, verb in ((1, "sat"), (0, "ran"))] * times
        (place / f"{split}.tsv").write_text("\n".join([*([header] if header else []), *rows]) + "\n")
    return place


@pytest.mark.parametrize("task", TASKS)
def test_official_rows_are_read(task: str, model: Path, tmp_path: Path) -> None:
    place, tokenizer = _write(tmp_path, task), bert_like()
    rows = rows_of(TASKS[task], place / "dev.tsv", tokenizer)
    assert [row["label"] for row in rows] == [1.5, 0.5, 1.5, 0.5] if task == "stsb" else [1, 0, 1, 0]
    first = {"cola": "a cat sat", "sst2": "a [UNK] cat sat", "stsb": "a cat [SEP] a cat sat"}[task]
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
