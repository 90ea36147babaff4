from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from analysis.scripts.smaller_vocabulary import commonest_pieces, smaller_model

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "zebra",
    "c",
    "a",
    "t",
    "##c",
    "##a",
    "##t",
    "cat",
    "mat",
    "m",
    ".",
]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(folder)
    (tmp_path / "text.txt").write_text("cat cat mat .\n" * 3)
    return folder


def test_the_commonest_pieces_and_every_character_stay(encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    kept = commonest_pieces(tokenizer, "cat cat mat .", 14)
    assert set(PIECES) - set(kept) == {"zebra", "mat"}
    assert kept == [piece for piece in PIECES if piece in kept]


def test_what_stays_has_its_old_embedding_and_the_blocks_are_those_of_the_encoder(
    encoder: Path, tmp_path: Path
) -> None:
    smaller_model(str(encoder), tmp_path / "text.txt", tmp_path / "smaller", 14)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "smaller")
    model, old = AutoModelForMaskedLM.from_pretrained(tmp_path / "smaller"), BertModel.from_pretrained(encoder)
    new = model.bert.get_input_embeddings().weight
    for piece, number in tokenizer.get_vocab().items():
        assert torch.equal(new[number], old.get_input_embeddings().weight[PIECES.index(piece)])
    assert model.get_output_embeddings().weight is new
    before, after = (
        AutoTokenizer.from_pretrained(encoder)("cat cat .", return_tensors="pt"),
        tokenizer("cat cat .", return_tensors="pt"),
    )
    assert tokenizer.tokenize("zebra cat") == ["[UNK]", "cat"]
    torch.testing.assert_close(
        model.eval().bert(**after).last_hidden_state, old.eval()(**before).last_hidden_state, rtol=0, atol=0
    )


def test_a_word_that_lost_its_piece_is_written_with_shorter_ones(encoder: Path, tmp_path: Path) -> None:
    smaller_model(str(encoder), tmp_path / "text.txt", tmp_path / "smaller", 13)
    assert AutoTokenizer.from_pretrained(tmp_path / "smaller").tokenize("mat") == ["m", "##a", "##t"]


def test_the_head_begins_with_the_frequencies_of_the_pieces(encoder: Path, tmp_path: Path) -> None:
    smaller_model(str(encoder), tmp_path / "text.txt", tmp_path / "smaller", 14)
    pieces = AutoTokenizer.from_pretrained(tmp_path / "smaller").get_vocab()
    bias = AutoModelForMaskedLM.from_pretrained(tmp_path / "smaller").cls.predictions.bias
    assert bias.exp().sum().item() == pytest.approx(1, abs=1e-5)
    odds = (bias[pieces["cat"]] - bias[pieces["##c"]]).exp().item()
    assert odds == pytest.approx(7)  # "cat" is there six times, "##c" never, and each counts once more
