from pathlib import Path

from analysis.scripts.word_pieces import END, word_pieces


def test_a_vocabulary_of_a_text_writes_any_text_back(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat; the cat sat.\n" * 20)
    tokenizer = word_pieces(text, 300)
    assert 256 < len(tokenizer) <= 300
    for written in ("the cat sat", "żółw – 龜"):
        assert tokenizer.decode(tokenizer(written)["input_ids"]) == written
    assert len(tokenizer("the cat sat")["input_ids"]) < len("the cat sat")
    assert tokenizer.pad_token == tokenizer.eos_token == END
