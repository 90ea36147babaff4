"""Makes a masked language model of an encoder and the commonest pieces of its vocabulary, where all is too dear.

`python -m analysis.scripts.smaller_vocabulary MODEL TEXT FOLDER [SIZE]` writes a stock checkpoint that recipes take as
`model`. The encoder keeps its blocks and the embeddings of the pieces that stay. The head is fresh, tied to the
embeddings, and its bias is the logarithm of each piece's frequency in the text, so that the model begins near a guess
by frequency.
"""

import sys
from collections import Counter
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizer

from causalkd.models.packaged_weights import PACKAGED, packaged_folder


def commonest_pieces(tokenizer: BertTokenizer, text: str, size: int) -> list[str]:
    """Special tokens, every single character of the text, and the commonest pieces of it, in the old order.

    Words whose own piece is left out are written with shorter ones.
    """
    vocabulary = tokenizer.get_vocab()
    counts = Counter(piece for line in text.splitlines() for piece in tokenizer.tokenize(line))
    letters = {letter for piece in counts if piece in vocabulary for letter in piece.removeprefix("##")}
    kept = {*map(str, tokenizer.all_special_tokens), *letters, *(f"##{letter}" for letter in letters)}
    kept &= set(vocabulary)
    for piece, _ in counts.most_common():
        if len(kept) >= size:
            break
        kept.add(piece)
    return sorted(kept, key=vocabulary.__getitem__)


def smaller_model(name: str, text: Path, folder: Path, size: int) -> None:
    """Writes the model and its tokenizer.

    Args:
        name: A BERT checkpoint: a folder, or one of `PACKAGED`.
        text: The UTF-8 text whose commonest pieces stay.
        folder: Where the checkpoint is written.
        size: The number of pieces, special tokens among them.
    """
    source = packaged_folder(name) if name in PACKAGED else name
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    encoder = AutoModel.from_pretrained(source, trust_remote_code=False)
    written = text.read_text(encoding="utf-8")
    pieces = commonest_pieces(tokenizer, written, size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    smaller = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=512)
    rows = torch.tensor([tokenizer.get_vocab()[piece] for piece in pieces])
    config = BertConfig.from_pretrained(
        source, trust_remote_code=False, vocab_size=len(pieces), architectures=["BertForMaskedLM"]
    )
    config.pad_token_id = pieces.index(tokenizer.pad_token)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(config)
    weights = {key: value for key, value in encoder.state_dict().items() if not key.startswith("pooler.")}
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][rows]
    model.bert.load_state_dict(weights)
    model.tie_weights()
    model.cls.predictions.bias.data.copy_(_log_frequencies(smaller, pieces, written))
    model.save_pretrained(folder)
    smaller.save_pretrained(folder)


def _log_frequencies(tokenizer: BertTokenizer, pieces: list[str], text: str) -> Float[Tensor, "piece"]:
    counts = Counter(piece for line in text.splitlines() for piece in tokenizer.tokenize(line))
    known = torch.tensor([counts[piece] + 1.0 for piece in pieces])  # a piece that is nowhere counts as one seen once
    return (known / known.sum()).log()


if __name__ == "__main__":
    smaller_model(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 4000)
