import json
from pathlib import Path

import pytest

from causalkd.data.tasks.readers import read_conll, read_jsonl, read_squad, read_text, read_tsv


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_quotes_and_unicode_line_ends_are_text_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", '\ufeffQuality\tfirst\n1\t" He said\u2028so \x85 " twice\r\n0\t"\n')
    assert read_tsv(path, ("first", "Quality")) == [('" He said\u2028so \x85 " twice', "1"), ('"', "0")]


def test_columns_by_number_where_no_line_names_them(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "gj04\t0\t*\tMany eat.\ngj04\t1\t\tMary sings.\n")
    assert read_tsv(path, (3, 1)) == [("Many eat.", "0"), ("Mary sings.", "1")]


def test_tables_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "sentence\tlabel\nfine\t1\nshort\n")
    with pytest.raises(ValueError, match=r"has no column 'text'; it has sentence, label"):
        read_tsv(path, ("text",))
    with pytest.raises(ValueError, match=r"lines \[3\] have fewer than 2 columns"):
        read_tsv(path, ("sentence", "label"))
    assert read_tsv(write(tmp_path, "b.tsv", ""), ("sentence",)) == []


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"a": 1, "b": "x\u2028y"}\n{"b": "", "a": 2}\n')
    assert read_jsonl(path, ("b", "a")) == [("x\u2028y", 1), ("", 2)]
    path = write(tmp_path, "b.jsonl", '{"a": 1}\n[1]\n{"a"\n')
    with pytest.raises(ValueError, match=r"with the keys \['a'\] on line 2 \(TypeError.*line 3 \(JSONDecodeError"):
        read_jsonl(path, ("a",))


def test_conll_sentences_end_at_blank_lines_of_any_kind(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conll", "Paris\tB-location\nsings\tO\n\t\n\n😀\tO\n")
    assert read_conll(path) == [(["Paris", "sings"], ["B-location", "O"]), (["😀"], ["O"])]
    with pytest.raises(ValueError, match=r"lines \[2, 3\] are not a word, a tab and a tag"):
        read_conll(write(tmp_path, "b.conll", "a\tO\nb\nc\tO\tO\n"))


@pytest.mark.parametrize("column", [("1", "2-3", "2", "3"), ("0", "1", "2", "3"), ("a/b_0",) * 4])
def test_conll_with_numbers_or_a_name_before_the_words_is_refused(tmp_path: Path, column: tuple[str, ...]) -> None:
    rows = [f"{first}\t{word}\tNOUN" for first, word in zip(column, "abcd", strict=True)]
    with pytest.raises(ValueError, match=r"the first column \(.*\) numbers the words or repeats a name.*cut -f 2,4"):
        read_conll(write(tmp_path, "a.conll", "\n".join([*rows, "", *rows[:1], ""])))
    words = write(tmp_path, "b.conll", "\n".join([*rows, "", "a\tb\tNOUN", "b\ta\tNOUN"]))
    assert [len(words) for words, _ in read_conll(words)] == [4, 2]


@pytest.mark.parametrize("rows", [["ha UH O"] * 2, ["ha UH B-INTJ O", *["ha UH I-INTJ O"] * 2], ["ha UH O"] * 3])
def test_conll_of_a_word_that_is_repeated_is_read(tmp_path: Path, rows: list[str]) -> None:
    """Where other columns have as few values; where one has many, as words have, the first one is a name."""
    other = [row.replace("ha", "no") for row in rows]
    found = read_conll(write(tmp_path, "a.conll", "\n".join([*rows, "", *other, "", rows[0]])))
    assert [words for words, _ in found] == [["ha"] * len(rows), ["no"] * len(rows), ["ha"]]
    assert read_conll(write(tmp_path, "b.conll", "\n".join(rows))) == [(["ha"] * len(rows), ["O"] * len(rows))]
    with pytest.raises(ValueError, match=r"the first column \(a/b_0, a/b_0\) .* repeats a name"):
        read_conll(write(tmp_path, "c.conll", "a/b_0 hi UH O\na/b_0 ho UH O\n\na/b_1 so RB O\na/b_1 so RB O\n"))


def test_conll_comments_are_no_words_and_a_word_that_is_a_hash_is_one(tmp_path: Path) -> None:
    for tab in (" ", "\t"):
        rows = ["# sent_id = 1", "a X Y DET".replace(" ", tab), "# X Y SYM".replace(" ", tab), "", "# newdoc id = 1"]
        rows += ["# newpar", "# text = #", "# two comments", "#hash X Y NOUN".replace(" ", tab)]
        path = write(tmp_path, "a.conll", "\n".join(rows))
        assert read_conll(path) == [(["a", "#"], ["DET", "SYM"]), (["#hash"], ["NOUN"])]
    assert read_conll(write(tmp_path, "b.conll", "# O\n")) == [(["#"], ["O"])]


def test_squad_nested_and_by_line_are_the_same(tmp_path: Path) -> None:
    answers = [{"answer_start": 4, "text": "fox"}, {"answer_start": 0, "text": "the"}]
    paragraph = {"context": "the fox", "qas": [{"question": "who ?", "answers": answers, "id": "1"}]}
    nested = write(tmp_path, "a.json", json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    columns = {"answer_start": [4, 0], "text": ["fox", "the"]}
    flat = {"question": "who ?", "context": "the fox", "answers": columns}
    by_line = write(tmp_path, "a.jsonl", json.dumps(flat) + "\n")
    assert read_squad(nested) == read_squad(by_line) == [("who ?", "the fox", [(4, "fox"), (0, "the")])]


@pytest.mark.parametrize("content", ["{", "{}", '{"data": [{}]}', "[]"])
def test_what_is_not_squad_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match="is not in SQuAD's form"):
        read_squad(write(tmp_path, "a.json", content))


def test_a_text_is_one_document_and_a_blank_one_none(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, "a.txt", " = A = \n \n b \n")) == [(" = A = \n \n b \n",)]
    assert read_text(write(tmp_path, "b.txt", " \n\n")) == []
