from pathlib import Path

import datasets
import pytest

from causalkd.data.tasks.csv_files import columns_of_files
from causalkd.data.tasks.data_files import read_files


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text,label\nI like it, really,pos\nbad,neg\n",
            r"2 values, .* line 2 has 3 \('I like it \|  really \| pos'",
        ),
        ("text,label\nI like it, really,pos\nbad, too,neg\n", r"line 2 has 3 .*; line 3 has 3 "),
        ("text\nI like it, really\nbad, too\n", r"every row needs 1 values, .* line 2 has 2 .*in double quotes"),
        ('text,label\n"a\nb",x\n\nonly\n', r"line 5 has 1 \('only'\)"),
        ("text,label\n" + "a,x\n" * 20_000 + "a, b,x\n", r"line 20002 has 3"),
        ("label,text\npos\nneg,bad\n", r"line 2 has 1 "),
        ('text,label\na,x\n"so" it is,x\n', r"a\.csv, line 3: ',' expected after '\"'\. A value that begins"),
        ('text,label\n"he said \\"no\\"",x\n', r"a\.csv, line 2: ',' expected after '\"'"),
        ('text,label\na,x\n"so it is,x\nb,y\n', r"a\.csv, lines 3 to 4: unexpected end of data\. A value"),
    ],
    ids=["first", "all", "one column", "short", "late", "without a text", "quoted word", "backslashes", "not closed"],
)
def test_rows_of_other_widths_than_the_header_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """pandas takes the values that are too many for an index, which moves all others to the next column."""
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_files([tmp_path / "a.csv"])


def test_a_column_of_row_numbers_needs_no_name(tmp_path: Path) -> None:
    """As `DataFrame.to_csv` writes it by default."""
    (tmp_path / "a.csv").write_text(",text,label\n0,a,x\n1,b,y\n")
    assert list(read_files([tmp_path / "a.csv"]).rows)[1] == {"Unnamed: 0": "1", "text": "b", "label": "y"}


def test_files_may_order_their_columns_differently(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\n")
    (tmp_path / "b.csv").write_text("label,text\ny,b\n")
    rows = read_files([tmp_path / "a.csv", tmp_path / "b.csv"]).rows
    assert list(rows) == [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    (tmp_path / "c.csv").write_text("text,label,more\nc,z,1\n")
    with pytest.raises(ValueError, match=r"c\.csv has the columns text, label, more, and .*a\.csv has text, label\. "):
        read_files([tmp_path / "a.csv", tmp_path / "c.csv"])


def test_blank_lines_and_values_are_no_faults(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\r\n\r\na,\r\n  \r\n,x\r\n\r\n")
    assert columns_of_files([tmp_path / "a.csv"], ",") == (["text", "label"], True)
    assert list(read_files([tmp_path / "a.csv"]).rows) == [{"text": "a", "label": ""}, {"text": "", "label": "x"}]
    (tmp_path / "b.csv").write_text("text,label\n\n  \n")
    assert columns_of_files([tmp_path / "b.csv"], ",") == (["text", "label"], False)


def test_quotes_around_a_value_of_a_tsv_file_are_left_out_with_a_word(tmp_path: Path) -> None:
    """In a file without quotes of its own, such as those of GLUE, they are a part of the text."""
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\nit is\tx\n"it was"\tx\n')
    with pytest.warns(UserWarning, match=r"a\.tsv, line 3: the quotes around \"it was\" are read as those of the file"):
        assert read_files([file]).rows["text"][:] == ["it is", "it was"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('"text"\t"label"\n"it is"\t"x"\n"a\tb"\t"y"\n', ["it is", "a\tb"]),
        ('text\tlabel\n"it is"\t1\n""\t2\n', ["it is", ""]),
        ('text\tlabel\nsaid ""so""\tx\n"He said ""so"""\tx\n"""so"" it is"\tx\n"""so"""\ty\n', None),
        ('text\tlabel\r\nit is\tx\r\n"a\tb"\ty\r\n', ["it is", "a\tb"]),
    ],
    ids=["all", "a column", "inside", "needed"],
)
def test_quotes_of_the_file_itself_need_no_word(tmp_path: Path, content: str, texts: list[str] | None) -> None:
    (tmp_path / "a.tsv").write_bytes(content.encode())
    found = read_files([tmp_path / "a.tsv"]).rows["text"][:]
    assert found == (texts or ['said ""so""', 'He said "so"', '"so" it is', '"so"'])
