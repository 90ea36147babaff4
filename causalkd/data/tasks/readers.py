"""Readers of the file formats of the tasks; each gives rows of plain Python values.

Lines end at line feeds only (text may hold other characters that Unicode calls line ends), quotes mean nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from causalkd.errors import few

_COMMENT = re.compile(r"# (new(doc|par)\b|\S+( id)? = ).*")
"""A comment as CoNLL-U has them, such as `# sent_id = 1`, `# newdoc id = a` and `# newpar`."""


def read_tsv(path: Path, columns: Sequence[str] | Sequence[int]) -> list[tuple[str, ...]]:
    """The columns of a tab-separated file: by name, where its first line names them, or by number from 0.

    Raises ValueError for a column that is not there or lines that are too short.
    """
    table = [line.split("\t") for line in lines(path)]
    if not table:
        return []
    numbers = []
    for column in columns:
        if isinstance(column, str) and column not in table[0]:
            raise ValueError(
                f"{path} has no column '{column}'; it has {few(list(table[0]))}. Give the file of the task"
            )
        numbers.append(table[0].index(column) if isinstance(column, str) else column)
    named = isinstance(columns[0], str)
    short = [number for number, line in enumerate(table, 1) if len(line) <= max(numbers)]
    if short:
        raise ValueError(
            f"{path}: lines {short[:5]} have fewer than {max(numbers) + 1} columns. Correct or remove them"
        )
    return [tuple(line[number] for number in numbers) for line in table[named:]]


def read_jsonl(path: Path, keys: Sequence[str], defaults: Mapping[str, str] | None = None) -> list[tuple]:
    """The values of some keys of a file with one JSON object a line; `defaults` has those of keys that may be missing.

    Raises ValueError for lines that are not JSON or lack a key.
    """
    rows, faults = [], []
    for number, line in enumerate(lines(path), 1):
        try:
            row = {**(defaults or {}), **json.loads(line)}
            rows.append(tuple(row[key] for key in keys))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            faults.append(f"line {number} ({type(error).__name__}: {error})")
    if faults:
        raise ValueError(f"{path}: no JSON object with the keys {list(keys)} on {'; '.join(faults[:5])}. Correct them")
    return rows


def read_conll(path: Path) -> list[tuple[list[str], list[str]]]:
    """Words and tags of each sentence of a file with one word a line, its tag last, and blank lines between sentences.

    Columns are separated by tabs or, as in CoNLL-2003's files, by spaces. Other columns may lie between the two,
    equally many in every line. `-DOCSTART-` lines are not sentences. Comments are those of CoNLL-U, and lines that
    begin with `# ` but lack the file's columns; with these columns `#` is a word. Tags in the IOB1 scheme, in which
    `B-` is used only between neighbours of one kind, become IOB2, in which every entity begins with it. Raises
    ValueError for lines of another form, and if the first column numbers the words, as in CoNLL-U, or repeats a name.
    """
    sentences: list[list[list[str]]] = []
    sentence: list[list[str]] = []
    faults: list[int] = []
    table = [(line, line.split("\t") if "\t" in line else line.split(" ")) for line in [*lines(path), ""]]
    width = next((len(parts) for line, parts in table if not (_stands_between(parts) or line.startswith("# "))), 0)
    for number, (line, parts) in enumerate(table, 1):
        if _stands_between(parts):
            if sentence:
                sentences.append(sentence)
            sentence = []
        elif _COMMENT.fullmatch(line) or (line.startswith("# ") and len(parts) != (width or len(parts))):
            continue
        elif len(parts) >= 2 and parts[0] and parts[-1] and len(parts) == (width or len(parts)):
            width = len(parts)
            sentence.append(parts)
        else:
            faults.append(number)
    if faults:
        raise ValueError(
            f"{path}: lines {faults[:5]} are not a word, a tab and a tag (or spaces for the tab), with as many "
            "columns as the others. Correct them"
        )
    long = [sentence for sentence in sentences if len(sentence) > 1]
    if width > 2 and long and _have_no_words(long):
        raise ValueError(
            f"{path}: the first column ({', '.join(row[0] for row in long[0][:3])}) numbers the words or repeats a "
            "name, but must hold words. Keep the columns of word and tag alone; of CoNLL-U, these are word and part "
            r"of speech: `grep -v '^[0-9]*[-.]' a.conllu | cut -f 2,4 > a.conll`"
        )
    return [([row[0] for row in rows], _entities_begun([row[-1] for row in rows])) for rows in sentences]


def _have_no_words(sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first column of every sentence counts its words, or is constant next to one that may be words.

    A word may be repeated too (`ha ha`); its other columns then have one value, or two as of a chunk (`B-`, `I-`).
    """
    firsts = [[row[0] for row in rows] for rows in sentences]
    is_name = [len(set(first)) == 1 for first in firsts]
    others = zip(*(row[1:-1] for rows in sentences for row in rows), strict=True)
    if all(is_name):
        return any(len(set(column)) > 2 for column in others)
    return all(same or _counts(first) for first, same in zip(firsts, is_name, strict=True))


def _counts(column: Sequence[str]) -> bool:
    """Whether a column counts from 0 or 1, contractions (`1-2`) aside."""
    numbers = [each for each in column if not re.fullmatch(r"\d+[-.]\d+", each)]
    return any(numbers == list(map(str, range(n, n + len(numbers)))) for n in (0, 1))


def _stands_between(parts: Sequence[str]) -> bool:
    """Whether the columns of a line are blank or mark a document's start, so that no sentence goes over it."""
    return not "".join(parts).strip() or parts[0] == "-DOCSTART-"


def _entities_begun(tags: list[str]) -> list[str]:
    """The tags with `B-` where an entity starts; tags that are already so stay as they are."""
    begun, before = [], "O"
    for tag in tags:
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        begun.append(f"B-{tag[2:]}" if begins else tag)
        before = tag
    return begun


def read_squad(path: Path) -> list[tuple[Any, Any, list[tuple[Any, Any]]]]:
    """Question, context and accepted answers (start, text) of SQuAD's nested JSON, or of one JSON object a line.

    Values are as they are in the file, of any type.

    Raises ValueError where the file has another structure.
    """
    try:
        if path.suffix == ".jsonl":
            rows = read_jsonl(path, ("question", "context", "answers"))
            return [(question, context, _answers(answers)) for question, context, answers in rows]
        articles = json.loads(path.read_text(encoding="utf-8-sig"))["data"]
        return [
            (question["question"], paragraph["context"], [(a["answer_start"], a["text"]) for a in question["answers"]])
            for article in articles
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not in SQuAD's form ({type(error).__name__}: {error}). Give such a file") from None


def read_text(path: Path) -> list[tuple[str]]:
    """A whole text file as one document; empty if it is blank."""
    text = path.read_text(encoding="utf-8-sig")
    return [(text,)] if text.strip() else []


def _answers(answers: dict) -> list[tuple[int, str]]:
    return list(zip(answers["answer_start"], answers["text"], strict=True))


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file in UTF-8, without their line ends."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            yield line.rstrip("\r\n")
