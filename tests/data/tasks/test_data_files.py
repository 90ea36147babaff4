import json
import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from causalkd.data.tasks.data_files import format_of, hub_splits, read_files


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def test_every_value_of_a_table_is_the_text_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n007,NA\n1.50,\n", encoding="utf-8-sig")
    table = read_files([tmp_path / "a.csv"])
    assert list(table.rows) == [{"a": "007", "b": "NA"}, {"a": "1.50", "b": ""}]
    assert table.select([1]).numbers == [1] and table.select([1]).select([0]).numbers == [1]


def test_a_document_of_any_length_is_a_value(tmp_path: Path) -> None:
    long = "word " * 60_000
    (tmp_path / "a.csv").write_text(f"text,label\n{long},x\n")
    assert read_files([tmp_path / "a.csv"]).rows[0] == {"text": long, "label": "x"}
    (tmp_path / "b.csv").write_text(f'text,"label\n{long},x\n')
    with pytest.raises(ValueError, match=r"b\.csv has no first line with the names of its columns .field larger"):
        read_files([tmp_path / "b.csv"])


def test_a_quote_that_swallows_lines_is_refused(tmp_path: Path) -> None:
    """A quote at a value's start and one at another's end would make one value of all lines between them."""
    (tmp_path / "a.tsv").write_text('text\tlabel\na fox\t0\n"a cat\t1\na dog\t0\na bird"\t1\n')
    with pytest.raises(ValueError, match=r"a\.tsv: row 2, column 'text' holds tabs and ends of lines, since a quote"):
        read_files([tmp_path / "a.tsv"])
    (tmp_path / "b.tsv").write_text('text\tlabel\n"a\tcat"\t1\n"a\nfox"\t0\n"""so"" it is"\t1\n')
    assert read_files([tmp_path / "b.tsv"]).rows["text"][:] == ["a\tcat", "a\nfox", '"so" it is']


def test_files_that_cannot_be_a_table_are_refused(tmp_path: Path) -> None:
    texts = {
        "a.csv": "a,b\n1,2\n",
        "b.csv": "a,c\n1,2\n",
        "c.csv": "a,a\n1,2\n",
        "d.txt": "x",
        "e.xyz": "x",
        "a.csv.gz": "x",
        "f.csv": "",
    }
    paths = {name: tmp_path / name for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    for names, message in (
        (("a.csv", "b.csv"), "b.csv has the columns a, c, and .*a.csv has a, b"),
        (("c.csv",), "names columns twice"),
        (("a.csv", "d.txt"), "files of several formats"),
        (("e.xyz",), "has no ending of a known format.* Rename the file, or convert it"),
        (("a.csv.gz",), "a.csv.gz has no ending of a known format.* Unpack the file"),
        (("f.csv",), "is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            read_files([paths[name] for name in names])
    assert format_of(paths["a.csv"]) == "csv"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\n", "a.csv is empty: it has no rows. Give a file with one row or more"),
        ("a.jsonl", b"", "a.jsonl is empty: it has no rows"),
        ("a.txt", b"", "a.txt is empty: it has no rows"),
        (
            "a.csv",
            b"text;label\na;b\n",
            "a.csv has one column, 'text;label', which looks like several",
        ),
        ("a.json", b" [ ] ", "a.json is empty: it has no rows"),
        (
            "a.json",
            b"[1, 2]",
            r"no rows in .*a.json \('\[1, 2\]'\): a JSON file must hold objects with a value",
        ),
        ("a.json", b"null", r"there are no rows in .*a.json \('null'\)"),
        ("a.jsonl", b"null\n", r"there are no rows in .*a.jsonl \('null"),
        ("a.json", "[]".encode("utf-16"), "a.json is not text in UTF-8: .* Convert it"),
        ("a.json", b'{"text": ', r"a.json cannot be read as json \(ArrowInvalid: .*Correct the file"),
        ("a.conll", b"", "a.conll is empty: it has no rows"),
        ("a.parquet", b"PAR1", r"a.parquet cannot be read as parquet \(ArrowInvalid: .*Correct the file"),
    ],
)
def test_files_without_rows_and_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_files([tmp_path / name])


def test_an_empty_file_among_others_adds_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n')
    assert list(read_files([tmp_path / "a.jsonl", tmp_path / "b.jsonl"]).rows) == [{"text": "a"}]


def test_a_folder_without_files_of_a_known_format_is_not_taken_for_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would search the whole folder, however large it is."""
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *_, **__: pytest.fail("the hub was asked"))
    (tmp_path / "notes.md").write_text("the fox")
    with pytest.raises(ValueError, match=r"is a folder without a file of a known format; .*Name another folder"):
        hub_splits(str(tmp_path), None, None)


def test_files_of_several_formats_are_counted_before_one_is_opened(tmp_path: Path) -> None:
    named = [tmp_path / name for name in ("a.json", "b.csv", "c.csv")]
    with pytest.raises(ValueError, match=r"several formats .*: 2 csv such as b\.csv, 1 json such as a\.json\. Give"):
        read_files(named)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("a.csv", ("text,label\nfox,a\n", "text,label\ncat,b\n")),
        ("a.jsonl", ('{"text": "fox"}\n', '{"text": "cat"}\n')),
        ("a.txt", ("the fox", "the cat")),
    ],
)
def test_other_contents_of_the_same_path_and_time_are_read_anew(
    tmp_path: Path, name: str, contents: tuple[str, str]
) -> None:
    """As of two versions of an archive whose files have no times of their own."""
    found = []
    for content in contents:
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, (315532800, 315532800))
        found.append(read_files([tmp_path / name]).rows[0]["text"])
    assert found[0] != found[1]


@pytest.mark.parametrize("form", ["lines", "list"])
def test_texts_that_look_like_dates_stay_texts(tmp_path: Path, form: str) -> None:
    rows = [{"text": f"2020-01-0{n} 10:00:00", "turns": [{"content": "2020-01-01"}]} for n in range(1, 4)]
    rows[2]["more"] = "2020-01-01T00:00:00"
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(rows, indent=1) if form == "list" else "\n".join(map(json.dumps, rows)) + "\n")
    found = read_files([path]).rows
    assert found["text"][:] == [row["text"] for row in rows] and found["turns"][:] == [row["turns"] for row in rows]
    assert found["more"][:] == [None, None, "2020-01-01T00:00:00"]


@pytest.mark.parametrize("other", ["x2", [1, "a"], {"a": [1, "a"]}])
def test_dates_beside_a_column_of_several_types_stay_texts(tmp_path: Path, other: Any) -> None:
    nested = [{"at": ["2020-01-01"], "id": 1}, {"at": None, "id": other}]
    rows = [
        {"created": "2020-01-01T00:00:00", "nested": nested[0], "id": 1},
        {"created": None, "nested": nested[1], "id": other},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_files([path]).rows
    assert found.column_names == ["created", "nested", "id"] and found["nested"][:] == nested
    assert found["created"][:] == ["2020-01-01T00:00:00", None] and found["id"][:] == [1, other]
