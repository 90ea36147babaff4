"""Tiny data sets in the published forms, as a folder for CAUSALKD_DATA: WikiText, GLUE, CoNLL-2003, WNUT-17, SQuAD."""

import json
from pathlib import Path

WORDS = "the quick brown fox jumps over a lazy dog cat sat on mat and every mammal strolls some birds sing".split()


def _sentence(number: int, length: int = 6) -> str:
    return " ".join(WORDS[(number * 7 + place * (1 + number % 3)) % len(WORDS)] for place in range(length))


GLUE: dict[str, tuple[str, str]] = {
    "CoLA": ("", "x\t{bit}\t\t{one}\n"),
    "SST-2": ("sentence\tlabel\n", "{one}\t{bit}\n"),
    "MRPC": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n", "{bit}\t1\t2\t{one}\t{two}\n"),
    "STS-B": ("index\tsentence1\tsentence2\tscore\n", "{n}\t{one}\t{two}\t{score}\n"),
    "RTE": ("index\tsentence1\tsentence2\tlabel\n", "{n}\t{one}\t{two}\t{entailed}\n"),
    "QNLI": ("index\tquestion\tsentence\tlabel\n", "{n}\t{one}\t{two}\t{entailed}\n"),
    "QQP": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n", "{n}\t1\t2\t{one}\t{two}\t{bit}\n"),
    "MNLI": ("index\tsentence1\tsentence2\tlabel1\tgold_label\n", "{n}\t{one}\t{two}\tx\t{three}\n"),
}
"""The heads and the rows of GLUE's tables."""


def write_official_files(folder: Path) -> Path:
    """Writes the files; the folder is what CAUSALKD_DATA names."""
    for size in (2, 103):
        for stem, count in (("train", 120), ("valid", 40), ("test", 40)):
            text = "".join(f" = fox {n} = \n \n {_sentence(n, 20)} \n" for n in range(count))
            _write(folder / "lm" / f"wikitext-{size}-raw" / f"wiki.{stem}.raw", text)
    for stem, count in (("train", 40), ("dev", 16)):
        for name, (head, row) in GLUE.items():
            file = f"{stem}_matched" if (name, stem) == ("MNLI", "dev") else stem
            _write(folder / "glue" / name / f"{file}.tsv", head + "".join(_row(row, n) for n in range(count)))
        paragraphs = [_paragraph(n) for n in range(count)]
        squad = {"version": "1.1", "data": [{"title": "animals", "paragraphs": paragraphs}]}
        _write(folder / "squad" / f"{stem}-v1.1.json", json.dumps(squad))
    for name, count in (("wnut17train.conll", 40), ("emerging.dev.conll", 16), ("emerging.test.annotated", 16)):
        rows = [f"Paris\tB-location\n{WORDS[n % 19]}\tO\nfox\tB-product\nsings\tO\n\t\n" for n in range(count)]
        _write(folder / "wnut17" / name, "".join(rows))
    for stem, count in (("train", 40), ("testa", 16), ("testb", 16)):
        rows = [f"Paris NNP I-NP I-LOC\n{WORDS[n % 19]} NN I-NP O\nsings VBD I-VP O\n\n" for n in range(count)]
        _write(folder / "conll2003" / f"eng.{stem}", "-DOCSTART- -X- O O\n\n" + "".join(rows))
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _row(form: str, number: int) -> str:
    three = ("entailment", "neutral", "contradiction")[number % 3]
    return form.format(
        n=number, one=_sentence(number), two=_sentence(number + number % 2), bit=number % 2, score=number % 6,
        entailed=("entailment", "not_entailment")[number % 2], three=three,
    )  # fmt: skip


def _paragraph(number: int) -> dict:
    context = _sentence(number, 9)
    word = context.split()[number % 9]
    answers = [{"text": word, "answer_start": f" {context} ".index(f" {word} ")}]
    return {"context": context, "qas": [{"id": str(number), "question": f"who {word} ?", "answers": answers}]}
