"""Data that are larger than is comfortable in memory: resident size and seconds of work, in processes of their own."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.tiny_tokenizers import WORDS, bert_like, gpt2_like

pytestmark = pytest.mark.slow

_LOADED = """
import json, re, sys, time
from pathlib import Path
import torch, transformers, datasets
from transformers import AutoTokenizer
from causalkd.data.tasks.loading import load_examples
from causalkd.data.tasks.own_data import OwnData
path, kind, tokenizer, limit, longest = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(tokenizer)
before = time.process_time()
own = OwnData(path, kind, splits={"validation": "train"})
found = load_examples(own, "train", tokenizer, limit=int(limit) or None, max_length=int(longest))
rows, last = len(found.examples), found.examples[-1]
# Not that of getrusage, which begins at what the process that started this one held.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({
    "rows": rows, "tokens": len(last["input_ids"]), "seconds": time.process_time() - before,
    "megabytes": int(peak[1]) / 1024,
}))
"""


def _loaded(folder: Path, file: Path, kind: str, limit: int = 0, longest: int = 64) -> dict[str, float]:
    """What a process that loads the file says of itself; the cache is the folder's."""
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    call = [sys.executable, "-c", _LOADED, str(file), kind, str(folder / "tokenizer"), str(limit), str(longest)]
    done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hundred_megabytes_of_text(tmp_path: Path) -> None:
    words, draw = WORDS.split(), random.Random(0)
    with (tmp_path / "text.txt").open("w") as file:
        while file.tell() < 100_000_000:
            file.write("\n".join(" ".join(draw.choices(words, k=20)) for _ in range(10_000)) + "\n")
    bert_like().save_pretrained(tmp_path / "tokenizer")
    few = _loaded(tmp_path, tmp_path / "text.txt", "masked_lm", limit=100)
    whole = _loaded(tmp_path, tmp_path / "text.txt", "masked_lm")
    again = _loaded(tmp_path, tmp_path / "text.txt", "masked_lm")
    print(f"\n100 rows {few}\nall rows {whole}\nagain    {again}")
    assert few["rows"] == 100 and few["seconds"] < 3
    assert whole["megabytes"] < 1024 and whole["rows"] > 100_000
    assert again["seconds"] < 5 and again["rows"] == whole["rows"]


def test_two_hundred_thousand_instructions(tmp_path: Path) -> None:
    words, draw = WORDS.split(), random.Random(0)
    with (tmp_path / "rows.jsonl").open("w") as file:
        for number in range(200_000):
            row = {"instruction": f"say {number}", "input": "", "output": " ".join(draw.choices(words, k=20))}
            file.write(json.dumps(row) + "\n")
    tokenizer = gpt2_like()
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    found = _loaded(tmp_path, tmp_path / "rows.jsonl", "instructions", longest=512)
    print(f"\ninstructions {found}")
    assert found["rows"] > 190_000 and found["megabytes"] < 1536


def _classified(words: list[str], draw: random.Random) -> dict[str, Any]:
    return {"text": " ".join(words), "label": draw.choice("abc")}


def _tagged(words: list[str], draw: random.Random) -> dict[str, Any]:
    return {"words": words, "tags": [draw.choice("abc") for _ in words]}


def _asked(words: list[str], draw: random.Random) -> dict[str, Any]:
    answers = {"text": [words[0]], "answer_start": [0]}
    return {"question": "who jumps over the lazy dog ?", "context": " ".join(words), "answers": answers}


@pytest.mark.parametrize(
    ("kind", "made", "rows", "megabytes"),
    [
        ("classification", _classified, 200_000, 768),
        ("token_classification", _tagged, 50_000, 640),
        ("question_answering", _asked, 50_000, 640),
    ],
)
def test_rows_of_one_example_each(
    tmp_path: Path, kind: str, made: Callable[..., dict[str, Any]], rows: int, megabytes: int
) -> None:
    words, draw = WORDS.split(), random.Random(0)
    with (tmp_path / "rows.jsonl").open("w") as file:
        for _ in range(rows):
            file.write(json.dumps(made(draw.choices(words, k=20), draw)) + "\n")
    bert_like().save_pretrained(tmp_path / "tokenizer")
    found = _loaded(tmp_path, tmp_path / "rows.jsonl", kind)
    print(f"\n{kind} {found}")
    assert found["rows"] == rows and found["megabytes"] < megabytes
