from pathlib import Path

import pytest

from causalkd.data.tasks import text_pieces
from causalkd.data.tasks.text_pieces import piece_ends


def pieces(folder: Path, text: str, begins: str | None = None) -> list[str]:
    path = folder / "a.txt"
    path.write_text(text, encoding="utf-8")
    return [path.read_bytes()[start:stop].decode() for start, stop in piece_ends(path, begins)]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("the fox\n" * 40, "\n"),  # at an end of line
        (" the fox\n" * 40, "\n"),  # where the next line starts with one space
        ("    the fox\n" * 40, "\n"),  # deeper: the tokens may be others there, but no piece is long
        ("the fox " * 40, "ex"),  # without an end of line, before the space of a word
        ("日本語日本語" * 40, "日本語"),  # without a space, after a character
        ("\n" * 300, "\n"),
    ],
)
def test_no_piece_is_long_whatever_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, ends: str
) -> None:
    monkeypatch.setattr(text_pieces, "_PIECE", 20)
    found = pieces(tmp_path, text)
    assert "".join(found) == text and max(len(piece.encode()) for piece in found) <= 40 and len(found) > 5
    assert all(piece[-1] in ends for piece in found[:-1])


def test_a_document_is_a_piece_unless_it_is_very_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "_PIECE", 20)
    short, long = "# a\nthe fox\nthe fox\nthe fox\n", "# b\n" + "the fox\n" * 60
    found = pieces(tmp_path, short * 2 + long, "^# ")
    assert found[:2] == [short, short] and "".join(found[2:]) == long and len(found) > 9


def test_an_empty_file_has_no_piece(tmp_path: Path) -> None:
    assert pieces(tmp_path, "") == []
