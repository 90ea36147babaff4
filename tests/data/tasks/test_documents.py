import os
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import datasets
import pytest
from tokenizers import processors

from causalkd.data.batch import IGNORED
from causalkd.data.tasks import documents, text_pieces
from causalkd.data.tasks.documents import FileText, RowText, block_rows
from causalkd.data.tasks.encode import encode, token_bytes
from causalkd.data.tasks.scored_rows import overlapping_rows
from tests.data.tiny_tokenizers import ALL, bert_like, gpt2_like, llama_like

LINES = "the quick brown fox\n\n  jumps over\nthe lazy dog , fine\n" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def written(folder: Path, text: str = LINES) -> Path:
    path = folder / "a.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_pieces_give_the_tokens_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "_PIECE", 100)
    text = FileText.of([written(tmp_path)])
    assert len(text) > 10 and "".join(text[number][0] for number in range(len(text))) == LINES
    assert [starts for _, starts in (text[number] for number in range(3))] == [True, False, False]
    rows = block_rows(text, gpt2_like(), 32, causal=True)
    tokens = [token for row in rows for token in row["input_ids"]]
    assert tokens == gpt2_like()(LINES, verbose=False)["input_ids"][: len(tokens)] and len(rows) > 20


def test_examples_are_as_those_of_a_list(tmp_path: Path) -> None:
    rows = block_rows(FileText.of([written(tmp_path)]), bert_like(), 16, causal=False)
    first = rows[0]
    assert first["input_ids"][0] == 2 and first["input_ids"][-1] == 3 and len(first["input_ids"]) == 16
    assert first["segments"] == {"text": (1, 15)} and first["token_type_ids"] == [0] * 16 and "label" not in first
    assert len(rows[2:5]) == 3 and rows[2:5][0] == rows[2] and rows[-1] == rows[len(rows) - 1]
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_tokens_around_every_row_are_not_learned(tmp_path: Path) -> None:
    tokenizer = llama_like()
    around = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer.backend_tokenizer.post_processor = around
    rows = block_rows(FileText.of([written(tmp_path)]), tokenizer, 16, causal=True)
    for row in rows:
        ids = row["input_ids"]
        assert ids[0] == 1 and ids[-1] == 2 and row["label"] == [-100, *ids[1:-1], -100]
    for tokens in (tokenizer, gpt2_like()):  # without overlap, the rows of another way of scoring are the same ones
        rows = block_rows(FileText.of([written(tmp_path)]), tokens, 16, causal=True)
        start, stop = rows[0]["segments"]["text"]
        again = overlapping_rows(rows, stop - start)
        assert [row["input_ids"] for row in again] == [row["input_ids"] for row in rows]
        assert [row["label"][1:] for row in again] == [row["label"][1:] for row in rows]


@pytest.mark.parametrize("make", ALL)
def test_the_bytes_of_the_rows_are_those_of_the_text(tmp_path: Path, make: Callable) -> None:
    """Also where a tokenizer drops spaces, does not know a word or writes bytes, and a row ends inside a character."""
    tokenizer, text = make(), "the fox , 日本語\n  The dog übt 🙂 on\n"
    for size in (5, 6, 7):
        rows = block_rows(FileText.of([written(tmp_path, text)]), tokenizer, size, causal=True)
        unread = token_bytes(tokenizer, encode(tokenizer, [text], special=False)[0], text)
        start = rows[0]["segments"]["text"][0]
        first = 0 if start else sum(unread[:: size - start])
        assert len(rows) > 2 and sum(row["bytes"] for row in rows) == len(text.encode()) - first


@pytest.mark.parametrize("make", [bert_like, gpt2_like, llama_like])
def test_a_last_token_of_its_own_is_scored_with_overlapping_rows(tmp_path: Path, make: Callable) -> None:
    tokenizer, text = make(), "the fox on the mat , the dog on"
    tokens = encode(tokenizer, [text], special=False)[0].ids
    around = tokenizer.num_special_tokens_to_add()
    sizes = [size for size in range(2, len(tokens)) if len(tokens) % size == 1]
    assert sizes
    for size in sizes:
        rows = block_rows(FileText.of([written(tmp_path, text)]), tokenizer, size + around, causal=True)
        first = 0 if rows[0]["segments"]["text"][0] else 1
        for stride in {1, size - 1}:
            again = overlapping_rows(rows, stride)
            assert [token for row in again for token in row["label"] if token != IGNORED] == tokens[first:]
        # Without overlap it is a row of its own only where there is something to predict it from.
        assert len(rows) == len(tokens) // size + (not first)
    assert len(block_rows(FileText.of([written(tmp_path, text)]), tokenizer, size + around, causal=False)) == 1


def test_a_limit_draws_by_the_seed_and_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "_PIECE", 200)
    monkeypatch.setattr(documents, "_AT_ONCE", 2)
    text = FileText.of([written(tmp_path, "".join(f"the fox {number}\n" for number in range(2000)))])
    read: list[int] = []
    piece = FileText.__getitem__

    def counted(self: FileText, number: int) -> tuple[str, bool]:
        read.append(number)
        return piece(self, number)

    monkeypatch.setattr(FileText, "__getitem__", counted)
    drawn = [
        [row["input_ids"] for row in block_rows(text, gpt2_like(), 32, causal=True, limit=4, seed=seed)]
        for seed in (0, 1)
    ]
    assert len(drawn[0]) == len(drawn[1]) == 4 and drawn[0] != drawn[1]
    assert len(read) < len(text)


WIKI = "".join(f" = Fox {number} = \n the quick fox {number} , \n = = On = = \n jumps \n" for number in range(60))
ARTICLE = r"^ = [^=\n][^\n]* = ?$"


def test_a_limit_draws_articles_by_the_seed_the_same_of_a_file_and_of_lines(tmp_path: Path) -> None:
    path = written(tmp_path, f" \n{WIKI}")
    table = datasets.Dataset.from_dict({"text": ["", *WIKI.splitlines(keepends=True)]})
    drawn = [
        block_rows(text, gpt2_like(), 16, causal=True, limit=4, seed=seed, begins=ARTICLE)[:]
        for seed in (0, 1)
        for text in (FileText.of([path], ARTICLE), RowText.of_lines(table, "text", ARTICLE))
    ]
    ids = [[row["input_ids"] for row in rows] for rows in drawn]
    assert ids[0] == ids[1] != ids[2] == ids[3] and {len(rows) for rows in ids} == {4}
    for text in (FileText.of([path], ARTICLE), RowText.of_lines(table, "text", ARTICLE)):
        assert text[0][0].strip() == ""  # which is drawn too where the limit is all of the text, and has no tokens
        rows = block_rows(text, gpt2_like(), 16, causal=True, limit=10_000, begins=ARTICLE)
        whole = [token for row in rows for token in row["input_ids"]]
        every = block_rows(text, gpt2_like(), 16, causal=True, begins=ARTICLE)
        assert sorted(whole) == sorted(token for row in every for token in row["input_ids"])


def test_lines_that_start_with_a_space_are_cut_into_pieces_with_the_tokens_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, WIKI)
    whole = block_rows(FileText.of([path]), gpt2_like(), 32, causal=True)[:]
    monkeypatch.setattr(text_pieces, "_PIECE", 100)
    text = FileText.of([path])
    assert len(text) > 20 and "".join(text[number][0] for number in range(len(text))) == WIKI
    assert list(block_rows(text, gpt2_like(), 32, causal=True)) == list(whole)


def test_articles_are_documents_with_ends_between(tmp_path: Path) -> None:
    path = written(tmp_path, " = the fox = \n the quick \n = = on = = \n dog \n = a cat = \n sat \n")
    rows = block_rows(FileText.of([path]), gpt2_like(), 64, causal=True, begins=r"^ = [^=\n][^\n]* = ?$")
    tokens = [token for row in rows for token in row["input_ids"]]
    assert tokens.count(gpt2_like().eos_token_id) == 1
    assert gpt2_like().decode(tokens).split("<|endoftext|>")[1].startswith(" = a cat = ")


def test_a_second_start_reads_the_cache_and_a_changed_text_does_not(tmp_path: Path) -> None:
    path = written(tmp_path)
    files = [block_rows(FileText.of([path]), gpt2_like(), 32, causal=True).table.cache_files for _ in range(2)]
    written(tmp_path, LINES + "more\n")
    other = block_rows(FileText.of([path]), gpt2_like(), 32, causal=True).table.cache_files
    assert files[0] == files[1] != other and files[0]


def test_blocks_that_another_version_of_the_code_made_are_not_taken(tmp_path: Path) -> None:
    text, first = FileText.of([written(tmp_path)]), block_rows
    other = tmp_path / "documents.py"
    other.write_text(Path(documents.__file__).read_text().replace("+ encoding.ids\n", "+ encoding.ids[::-1]\n"))
    second = run_path(str(other))["block_rows"]
    made = (make(text, gpt2_like(), 32, causal=True) for make in (first, second))
    one, two = ([token for row in rows for token in row["input_ids"]] for rows in made)
    assert one == two[::-1]


def test_a_row_that_is_no_text_is_named() -> None:
    table = datasets.Dataset.from_dict({"text": ["the fox", None]})
    with pytest.raises(ValueError, match="row 2, column 'text': None is not a text"):
        block_rows(RowText(table, "text"), gpt2_like(), 16, causal=True)


def test_other_contents_of_the_same_size_and_time_have_another_key(tmp_path: Path) -> None:
    keys = []
    for text in ("the fox", "the cat"):
        (tmp_path / "a.txt").write_text(text)
        os.utime(tmp_path / "a.txt", (0, 0))
        keys.append(FileText.of([tmp_path / "a.txt"]).key)
    assert keys[0] != keys[1]
